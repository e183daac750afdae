//! Where every reading is, counted. One lock over all counts, so that the conservation law holds in every snapshot:
//! `produced + recovered = delivered + dropped + dead_lettered + spooled + in_flight`.

use std::sync::{Mutex, PoisonError};

/// Why a reading was given up, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The spool was full and its policy is to drop the oldest.
    SpoolFull,
    /// The spool held it, but its bytes were damaged.
    SpoolCorrupt,
    /// The drain's grace had ended and the spool refused it.
    Unsaved,
}

/// Why a reading went to the dead-letter file, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetter {
    /// Larger than a record of the stream may be.
    TooLarge,
    /// The stream refuses it for good.
    Rejected,
}

impl DropReason {
    /// Every reason, in the order of its count.
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
    /// Every reason, in the order of its count.
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
    /// Handed over by a source.
    pub produced: u64,
    /// Found in the spool at the start.
    pub recovered: u64,
    /// Accepted by the sink.
    pub delivered: u64,
    /// Given up, by reason.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Written to the dead-letter file, by reason.
    pub dead_lettered: [u64; DeadLetter::ALL.len()],
    /// In the spool now.
    pub spooled: u64,
    /// In memory now: handed over, not yet delivered, spooled or given up.
    pub in_flight: u64,
}

impl Counts {
    /// True where every reading that came in is in exactly one place.
    pub fn conserved(&self) -> bool {
        self.produced + self.recovered
            == self.delivered
                + self.dropped.iter().sum::<u64>()
                + self.dead_lettered.iter().sum::<u64>()
                + self.spooled
                + self.in_flight
    }
}

/// The counts of a running daemon. Each stage counts what it does, where it does it.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Counts>);

impl Ledger {
    /// All counts at one instant.
    pub fn snapshot(&self) -> Counts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes several counts at once, so that no snapshot falls between them.
    pub fn record(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
