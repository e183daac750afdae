//! What the spool's thread is asked, and how it is gathered for one transaction.

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
    /// Has the disk seem to have no room left.
    #[cfg(test)]
    DiskSeemsFull(bool),
    /// Has the database seem too large for the disk at so many pages.
    #[cfg(test)]
    LimitPages(u32),
    /// Has the log copied back every few pages, and an empty file of more than a few given back.
    #[cfg(test)]
    KeepSmall,
}

/// Wants the next records of a lane.
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
    /// What its appends weigh before they are compressed.
    pub bytes: u64,
    pub appends: Vec<(Appended, oneshot::Sender<Appended>)>,
    /// The records of all appends with the index of theirs, in order.
    pub records: VecDeque<(usize, Packed)>,
    pub removers: Vec<Reply<Lost>>,
    pub readers: Vec<Reader>,
    pub close: Option<Reply<()>>,
}
