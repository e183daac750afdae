//! The interface of a store of partitions: a checkpoint and the entries after it. It knows no AWS type and no SQL.

use std::future::Future;

use super::{Checkpoint, Entry, PartitionName};
use crate::store_error::StoreError;

/// The most entries a handler leaves after a partition's newest checkpoint. A store may keep entries in a ring of as
/// many places, so the number is part of its format.
pub const MAX_ENTRIES: usize = 8192;

/// A partition as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// The newest checkpoint, if one was written.
    pub checkpoint: Option<Checkpoint>,
    /// The entries after it, by version, without a gap. Their events may be missing: those were handed on when they
    /// were appended.
    pub entries: Vec<Entry>,
}

/// New entries of one partition, with consecutive versions.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// The partition.
    pub partition: PartitionName,
    /// Never empty.
    pub entries: Vec<Entry>,
}

/// Why entries were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another invocation has moved the partition since it was loaded: load it again.
    #[error("the partition was moved by another invocation")]
    Conflict,
    /// The store failed; whether it took the entries is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a checkpoint was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointed {
    /// It is now the partition's newest checkpoint.
    Written,
    /// The partition keeps a checkpoint of this version or a later one.
    Superseded,
}

/// Stores partitions. Partitions are passed together, so that a store can read or write them at once. The answers are
/// in the same order, one per partition; the failure of one says nothing about another.
///
/// A store must guarantee: an entry whose version exists already, or is not after the newest checkpoint's, is an
/// [`AppendError::Conflict`], however long ago that was. No entry of a partition is appended without those before it.
/// Entries up to a checkpoint may be deleted or overwritten.
pub trait Partitions: Send {
    /// Each partition as it is stored; `None` if nothing is.
    fn load(
        &mut self,
        partitions: &[PartitionName],
    ) -> impl Future<Output = Vec<Result<Option<Stored>, StoreError>>> + Send;

    /// The entries after these versions, in order and without a gap. Empty if nothing was appended, or if the next
    /// entry is no longer stored; then an append meets a conflict.
    fn since(
        &mut self,
        partitions: &[(PartitionName, u64)],
    ) -> impl Future<Output = Vec<Result<Vec<Entry>, StoreError>>> + Send;

    /// Appends entries with their events. What is answered with `Ok` survives a power failure.
    fn append(&mut self, appends: &[Append]) -> impl Future<Output = Vec<Result<(), AppendError>>> + Send;

    /// Writes a checkpoint unless the partition has one of this version or a later one.
    fn checkpoint(
        &mut self,
        partition: &PartitionName,
        checkpoint: &Checkpoint,
    ) -> impl Future<Output = Result<Checkpointed, StoreError>> + Send;
}
