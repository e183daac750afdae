//! A pipeline that holds what a source sends, for tests.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use delivery::batch::Batch;
use delivery::ledger::Ledger;
use tokio::sync::watch;

use super::handover::{self, Receiver};
use super::{Malformed, Output, Slots, SourceContext};
use crate::telemetry::metrics::Metrics;

/// The most that the queue counts for a batch of one small reading.
const BATCH_BYTES: usize = 512;

/// The other end of an [`Output`].
pub(super) struct Trial {
    pub batches: Receiver,
    pub stop: watch::Sender<bool>,
    pub ledger: Arc<Ledger>,
}

impl Trial {
    /// Creates a pipeline with capacity for this many batches of one small reading.
    pub fn new(batches: usize) -> (Output, Self) {
        let (sender, batches) = handover::channel(batches * BATCH_BYTES);
        let (stop, stopped) = watch::channel(false);
        let ledger = Arc::new(Ledger::default());
        let output = Output::new(sender, stopped, Arc::clone(&ledger));
        let trial = Self { batches, stop, ledger };
        (output, trial)
    }

    /// Returns the next batch from the queue.
    pub async fn recv(&mut self) -> Option<Batch> {
        Some(self.batches.recv().await?.batch)
    }

    /// Returns the next batch; its readings are safe at once.
    pub async fn settled(&mut self) -> Option<Batch> {
        let mut batch = self.recv().await?;
        settle(&batch);
        // A source waits until the last receipt is dropped.
        batch.receipt = None;
        Some(batch)
    }

    /// Takes all batches, safe at once, until the source ends.
    pub async fn all(&mut self) -> Vec<Batch> {
        let mut all = Vec::new();
        while let Some(batch) = self.settled().await {
            all.push(batch);
        }
        all
    }
}

/// Marks all readings of a batch as safe.
pub(super) fn settle(batch: &Batch) {
    if let Some(receipt) = &batch.receipt {
        receipt.settle(batch.readings.len() as u32);
    }
}

/// The context of a source without a port.
pub(super) fn context(state_dir: &Path, malformed: Arc<Malformed>) -> SourceContext {
    SourceContext {
        state_dir: state_dir.to_owned(),
        malformed,
        metrics: Arc::new(Metrics::new(Arc::default())),
        listener: None,
        slots: Slots::default(),
        settings: watch::Sender::default().subscribe(),
    }
}
