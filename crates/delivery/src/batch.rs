//! Batches of readings from a source, and the receipts that acknowledge them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wire::Reading;

/// Readings that a source hands over together.
#[derive(Debug)]
pub struct Batch {
    /// In the order of the source; every later stage keeps this order for each sensor.
    pub readings: Vec<Reading>,
    /// Notified once all of them are safe.
    pub receipt: Option<Receipt>,
}

/// Calls back once every reading of a batch is delivered, synced to the spool, or dropped and counted.
#[derive(Clone, Debug)]
pub struct Receipt(Arc<Pending<dyn Fn(u64) + Send + Sync>>);

struct Pending<F: ?Sized> {
    unsettled: AtomicU32,
    undelivered: AtomicU32,
    position: u64,
    settled: F,
}

impl Receipt {
    /// A receipt for a batch of `readings`. `settled` is called with `position` once the last of them is safe.
    pub fn new(readings: u32, position: u64, settled: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Pending {
            unsettled: AtomicU32::new(readings),
            undelivered: AtomicU32::new(readings),
            position,
            settled,
        }))
    }

    /// Marks this many more readings of the batch as safe.
    pub fn settle(&self, readings: u32) {
        if self.0.unsettled.fetch_sub(readings, Ordering::AcqRel) == readings {
            (self.0.settled)(self.0.position);
        }
    }

    /// Marks this many more readings of the batch as delivered, and so safe.
    pub fn deliver(&self, readings: u32) {
        self.0.undelivered.fetch_sub(readings, Ordering::AcqRel);
        self.settle(readings);
    }

    /// True once the sink has accepted every reading of the batch. Readings spooled first are not counted when
    /// delivered later.
    pub fn is_delivered(&self) -> bool {
        self.0.undelivered.load(Ordering::Acquire) == 0
    }

    /// True if both receipts belong to the same batch.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<F: ?Sized> fmt::Debug for Pending<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("unsettled", &self.unsettled)
            .field("undelivered", &self.undelivered)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
