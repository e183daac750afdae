//! Counts where every reading is. One lock covers all counts, so the conservation law holds in every snapshot:
//! `produced + recovered = delivered + dropped + dead_lettered + spooled + in_flight`.

use std::sync::{Mutex, PoisonError};

/// Why a reading was dropped, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The spool was full, and its policy is to drop the oldest.
    SpoolFull,
    /// The reading was in the spool, but its bytes were damaged.
    SpoolCorrupt,
    /// The drain's grace period had ended, and the spool rejected the reading.
    Unsaved,
}

/// Why a reading went to the dead-letter file, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    /// It exceeds the stream's record size limit.
    TooLarge,
    /// The stream rejects it permanently.
    Rejected,
}

impl DropReason {
    /// Every reason, in the order of the counts.
    pub const ALL: [Self; 3] = [Self::SpoolFull, Self::SpoolCorrupt, Self::Unsaved];

    /// The metric label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::SpoolFull => "spool_full",
            Self::SpoolCorrupt => "spool_corrupt",
            Self::Unsaved => "unsaved",
        }
    }
}

impl DeadLetter {
    /// Every reason, in the order of the counts.
    pub const ALL: [Self; 2] = [Self::TooLarge, Self::Rejected];

    /// The metric label.
    pub fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Rejected => "rejected",
        }
    }
}

/// Where every reading is at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Received from sources.
    pub produced: u64,
    /// Found in the spool at startup.
    pub recovered: u64,
    /// Accepted by the sink.
    pub delivered: u64,
    /// Dropped, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Written to the dead-letter file, by reason.
    pub dead_lettered: [u64; DeadLetter::ALL.len()],
    /// Currently in the spool.
    pub spooled: u64,
    /// Currently in memory: received, but not yet delivered, spooled, dead-lettered or dropped.
    pub in_flight: u64,
}

impl Counts {
    /// True if every reading received is in exactly one place.
    pub fn conserved(&self) -> bool {
        self.produced + self.recovered
            == self.delivered
                + self.dropped.iter().sum::<u64>()
                + self.dead_lettered.iter().sum::<u64>()
                + self.spooled
                + self.in_flight
    }
}

/// The counts of a running daemon. Each stage updates them itself, at the point where the reading moves.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Counts>);

impl Ledger {
    /// All counts at one instant.
    pub fn snapshot(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes several counts at once, so that no snapshot sees only some of the changes.
    pub fn record(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
