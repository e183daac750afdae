//! How many texts from outside are decoded at the same time: what one becomes is in no budget before it is counted.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is read in less than a millisecond is read where it arrived; more would hold up other clients.
pub const SMALL_BYTES: usize = 64 << 10;
/// As many small texts as take no more memory than a large one.
const SMALL: usize = 16;

/// The slots of all sources.
#[derive(Clone, Debug)]
pub struct Slots {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// Held while a text is decoded, and until what it became is counted.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Slots {
    /// With so many slots for large texts.
    pub fn new(large: usize) -> Self {
        Self {
            small: Arc::new(Semaphore::new(SMALL)),
            large: Arc::new(Semaphore::new(large)),
        }
    }

    /// Waits for a slot for a text; small ones do not wait behind large ones.
    pub async fn acquire(&self, small: bool) -> Slot {
        let slots = if small { &self.small } else { &self.large };
        let slot = slots.clone().acquire_owned().await;
        Slot(slot.expect("nobody closes it"))
    }
}

impl Default for Slots {
    /// A large text for each processor.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }
}
