//! Decoding slots: the limit of texts decoded at the same time, because a result is in no budget before it is counted.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Texts up to this size are decoded in less than a millisecond, without a thread; larger ones would delay other
/// clients.
pub const SMALL_BYTES: usize = 64 << 10;
/// The slots for small texts: as many as take no more memory than a large one.
const SMALL: usize = 16;

/// The slots of all sources.
#[derive(Clone, Debug)]
pub struct Slots {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// Held while a text is decoded, and until the result is counted.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Slots {
    /// Creates slots for this many large texts.
    pub fn new(large: usize) -> Self {
        Self {
            small: Arc::new(Semaphore::new(SMALL)),
            large: Arc::new(Semaphore::new(large)),
        }
    }

    /// Waits for a slot; small texts do not wait behind large ones.
    pub async fn acquire(&self, small: bool) -> Slot {
        let slots = if small { &self.small } else { &self.large };
        let slot = slots.clone().acquire_owned().await;
        Slot(slot.expect("nobody closes it"))
    }
}

impl Default for Slots {
    /// One large text for each processor.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }
}
