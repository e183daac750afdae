//! The name of an operation, as the header `X-Amz-Target` gives it after the dot.

use serde::{Deserialize, Serialize};

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// Puts up to 500 records.
    #[default]
    PutRecords,
    /// Puts one record.
    PutRecord,
    /// Describes the stream without its shards.
    DescribeStreamSummary,
    /// Lists the shards.
    ListShards,
    /// Makes two shards of one.
    SplitShard,
    /// Makes one shard of two.
    MergeShards,
    /// Makes twice or half as many shards.
    UpdateShardCount,
    /// Tells the account's limits.
    DescribeLimits,
    /// Where to begin reading a shard.
    GetShardIterator,
    /// Reads a shard.
    GetRecords,
    /// STS: who the caller is.
    GetCallerIdentity,
    /// STS: credentials of a role.
    AssumeRole,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::PutRecords,
        Self::PutRecord,
        Self::DescribeStreamSummary,
        Self::ListShards,
        Self::SplitShard,
        Self::MergeShards,
        Self::UpdateShardCount,
        Self::DescribeLimits,
        Self::GetShardIterator,
        Self::GetRecords,
        Self::GetCallerIdentity,
        Self::AssumeRole,
    ];

    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutRecords => "PutRecords",
            Self::PutRecord => "PutRecord",
            Self::DescribeStreamSummary => "DescribeStreamSummary",
            Self::ListShards => "ListShards",
            Self::SplitShard => "SplitShard",
            Self::MergeShards => "MergeShards",
            Self::UpdateShardCount => "UpdateShardCount",
            Self::DescribeLimits => "DescribeLimits",
            Self::GetShardIterator => "GetShardIterator",
            Self::GetRecords => "GetRecords",
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole => "AssumeRole",
        }
    }

    /// The operation of that name, where there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// True where it is one of STS, which speaks the query protocol.
    pub fn is_of_sts(self) -> bool {
        matches!(self, Self::GetCallerIdentity | Self::AssumeRole)
    }

    /// True where it puts records: the operations that chances apply to.
    pub fn puts(self) -> bool {
        matches!(self, Self::PutRecords | Self::PutRecord)
    }
}
