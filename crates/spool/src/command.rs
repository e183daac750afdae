//! The commands to the spool's thread, and how they are grouped into transactions.

use std::collections::VecDeque;
use std::sync::Arc;

use delivery::record::{LaneKey, Record};
use delivery::spool::{Appended, Lost, Next, Position};
use tokio::sync::oneshot;

use super::SpoolError;
use super::packed::Packed;

pub(super) type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

#[derive(Debug)]
pub(super) enum Command {
    Append {
        records: Vec<Record>,
        reply: oneshot::Sender<Appended>,
    },
    Next(Reader),
    Remove {
        positions: Vec<Position>,
        reply: Reply<Lost>,
    },
    Close {
        reply: Reply<()>,
    },
    /// Makes the disk seem full.
    #[cfg(test)]
    DiskSeemsFull(bool),
    /// Makes the database seem too large for the disk at this many pages.
    #[cfg(test)]
    LimitPages(u32),
    /// Copies the log back every few pages, and shrinks an empty file of more than a few pages.
    #[cfg(test)]
    KeepSmall,
}

/// A request for the next records of a lane.
#[derive(Debug)]
pub(super) struct Reader {
    pub lane: Arc<LaneKey>,
    pub after: Option<Position>,
    pub max_bytes: usize,
    pub reply: Reply<Next>,
}

/// Commands that share a transaction.
#[derive(Default)]
pub(super) struct Group {
    /// Size of its appends before compression.
    pub bytes: u64,
    pub appends: Vec<(Appended, oneshot::Sender<Appended>)>,
    /// The records of all appends, each with the index of its append, in order.
    pub records: VecDeque<(usize, Packed)>,
    pub removers: Vec<Reply<Lost>>,
    pub readers: Vec<Reader>,
    pub close: Option<Reply<()>>,
}
