//! The queue between the sources and the pipeline. It is bounded by the memory of its readings, not by their number: a
//! batch that does not fit waits, and counts until the pipeline has packed it. The pipeline's pressure is reported back
//! along it.

use std::sync::Arc;

use delivery::batch::Batch;
use delivery::pressure::Pressure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use wire::Reading;

/// Bytes of a batch besides its readings: its receipt and its queue entry. So the bound in bytes limits the length too.
const BATCH_BYTES: usize = 256;

/// The pipeline has ended and accepts nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline has ended")]
pub struct Closed;

/// The sources' end.
#[derive(Clone, Debug)]
pub struct Sender {
    batches: mpsc::Sender<QueuedBatch>,
    room: Capacity,
    pressure: watch::Receiver<Pressure>,
}

/// A [`Sender`] that does not keep the queue open.
#[derive(Clone, Debug)]
pub struct WeakSender {
    batches: mpsc::WeakSender<QueuedBatch>,
    room: Capacity,
    pressure: watch::Receiver<Pressure>,
}

/// The pipeline's end.
#[derive(Debug)]
pub struct Receiver {
    batches: mpsc::Receiver<QueuedBatch>,
    room: Capacity,
    pressure: watch::Sender<Pressure>,
}

/// Reserved capacity for one batch, and its slot in the queue.
#[derive(Debug)]
pub struct Place {
    place: mpsc::OwnedPermit<QueuedBatch>,
    room: OwnedSemaphorePermit,
}

/// A batch that takes capacity of the queue until it is dropped.
#[derive(Debug)]
pub struct QueuedBatch {
    /// The batch.
    pub batch: Batch,
    _room: OwnedSemaphorePermit,
}

/// The bytes that are free, and the total.
#[derive(Clone, Debug)]
struct Capacity {
    left: Arc<Semaphore>,
    bytes: usize,
}

/// Creates a queue for readings that take `bytes` of memory. A single batch may take more: it then passes alone.
pub fn channel(bytes: usize) -> (Sender, Receiver) {
    let bytes = bytes.clamp(1, Semaphore::MAX_PERMITS);
    // As many slots as empty batches would fit, so that the bytes always run out first.
    let (batches, received) = mpsc::channel(bytes / BATCH_BYTES + 1);
    let (tell, pressure) = watch::channel(Pressure::default());
    let room = Capacity {
        left: Arc::new(Semaphore::new(bytes)),
        bytes,
    };
    let sender = Sender {
        batches,
        room: room.clone(),
        pressure,
    };
    let receiver = Receiver {
        batches: received,
        room,
        pressure: tell,
    };
    (sender, receiver)
}

impl Sender {
    /// Waits for capacity for a batch of these readings, first come, first served.
    pub async fn reserve(&self, readings: &[Reading]) -> Result<Place, Closed> {
        let bytes = readings.iter().map(Reading::memory_bytes).sum::<usize>() + BATCH_BYTES;
        let bytes = u32::try_from(bytes.min(self.room.bytes)).unwrap_or(u32::MAX);
        let room = self.room.left.clone().acquire_many_owned(bytes).await;
        let room = room.map_err(|_| Closed)?;
        let place = self.batches.clone().reserve_owned().await.map_err(|_| Closed)?;
        Ok(Place { place, room })
    }

    /// The pipeline's pressure, now and on each change.
    pub fn pressure(&self) -> watch::Receiver<Pressure> {
        self.pressure.clone()
    }

    /// Returns a sender that does not keep the queue open.
    pub fn downgrade(&self) -> WeakSender {
        WeakSender {
            batches: self.batches.downgrade(),
            room: self.room.clone(),
            pressure: self.pressure.clone(),
        }
    }
}

impl WeakSender {
    /// Returns a sender, if another one still exists.
    pub fn upgrade(&self) -> Option<Sender> {
        Some(Sender {
            batches: self.batches.upgrade()?,
            room: self.room.clone(),
            pressure: self.pressure.clone(),
        })
    }
}

impl Place {
    /// Puts the batch into the capacity reserved for it.
    pub fn put(self, batch: Batch) {
        self.place.send(QueuedBatch {
            batch,
            _room: self.room,
        });
    }
}

impl Receiver {
    /// Returns the next batch; `None` once there will be none.
    pub async fn recv(&mut self) -> Option<QueuedBatch> {
        self.batches.recv().await
    }

    /// Returns the next batch, if one is queued.
    #[cfg(test)]
    pub fn try_recv(&mut self) -> Option<QueuedBatch> {
        self.batches.try_recv().ok()
    }

    /// Closes the queue: waiting senders get an error. Batches with a reserved slot are still received.
    pub fn close(&mut self) {
        self.room.left.close();
        self.batches.close();
    }

    /// Tells the sources the pipeline's pressure.
    pub fn set_pressure(&self, pressure: Pressure) {
        self.pressure
            .send_if_modified(|known| std::mem::replace(known, pressure) != pressure);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;
    use tokio::task::JoinSet;
    use wire::{Sensor, Timestamp, Value};

    use super::*;

    /// A batch of one vector of this length.
    fn batch(numbers: usize) -> Batch {
        let sensor = Arc::new(Sensor::new("s", "k"));
        let vector = Value::Vector(vec![0.0; numbers].into());
        let reading = Reading::new(sensor, Timestamp::default(), vector).unwrap();
        Batch {
            readings: vec![reading],
            receipt: None,
        }
    }

    fn bytes(batch: &Batch) -> usize {
        batch.readings.iter().map(Reading::memory_bytes).sum::<usize>() + BATCH_BYTES
    }

    /// Puts batches in, each from a task of its own that waits for capacity; the tasks start in order.
    async fn put_all(sender: &Sender, batches: impl IntoIterator<Item = Batch>) -> JoinSet<Result<(), Closed>> {
        let mut putting = JoinSet::new();
        for batch in batches {
            let sender = sender.clone();
            putting.spawn(async move {
                sender.reserve(&batch.readings).await?.put(batch);
                Ok(())
            });
            tokio::task::yield_now().await;
        }
        putting
    }

    #[tokio::test(start_paused = true)]
    async fn many_small_batches_find_room_where_large_ones_wait() {
        let (sender, mut receiver) = channel(100 * bytes(&batch(1)));
        put_all(&sender, (0..100).map(|_| batch(1))).await;
        let received: Vec<_> = std::iter::from_fn(|| receiver.try_recv()).collect();
        assert_eq!(received.len(), 100, "none of them had to wait");
        let _waits = put_all(&sender, [batch(1)]).await;
        assert!(receiver.try_recv().is_none(), "a batch takes room until it is packed");
        drop(received);
        assert!(receiver.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_first_is_served_first_however_much_it_asks_for() {
        let (sender, mut receiver) = channel(2 * bytes(&batch(100)));
        let mut putting = put_all(&sender, [50, 150, 1, 1_000, 2].map(batch)).await;
        let mut received = Vec::new();
        drop(sender);
        while let Some(handed) = receiver.recv().await {
            received.push(handed.batch.readings[0].value().numbers().len());
        }
        assert_eq!(
            received,
            [50, 150, 1, 1_000, 2],
            "one larger than all room passes alone"
        );
        while let Some(put) = putting.join_next().await {
            assert_eq!(put.unwrap(), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_hears_of_the_end() {
        let (sender, mut receiver) = channel(bytes(&batch(1)));
        let mut putting = put_all(&sender, [batch(1), batch(1)]).await;
        assert_eq!(putting.join_next().await.unwrap().unwrap(), Ok(()));
        receiver.close();
        assert_eq!(putting.join_next().await.unwrap().unwrap(), Err(Closed));
        assert!(receiver.recv().await.is_some(), "what has its place is received");
        assert!(receiver.recv().await.is_none());
        let (sender, receiver) = channel(bytes(&batch(1)));
        let mut putting = put_all(&sender, [batch(1), batch(1)]).await;
        drop(receiver);
        while let Some(put) = putting.join_next().await {
            assert!(matches!(put, Ok(Ok(()) | Err(Closed))));
        }
        assert_eq!(sender.reserve(&batch(1).readings).await.map(drop), Err(Closed));
    }

    #[test]
    fn a_weak_sender_does_not_keep_it_open() {
        let (sender, mut receiver) = channel(1);
        let weak = sender.downgrade();
        assert!(weak.upgrade().is_some());
        drop(sender);
        assert!(weak.upgrade().is_none() && receiver.batches.try_recv().is_err());
    }

    proptest! {
        /// Batches in the queue and in the pipeline never take more memory than the queue's capacity, and all are
        /// received.
        #[test]
        fn it_never_holds_more_than_its_room(sizes in proptest::collection::vec(1..1_024_usize, 1..60), keep in 0..4_usize) {
            const ROOM: usize = 20_000;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (received, most) = runtime.block_on(async {
                let (sender, mut receiver) = channel(ROOM);
                let mut putting = put_all(&sender, sizes.iter().map(|numbers| batch(*numbers))).await;
                let (mut received, mut most) = (0, 0);
                let mut held = std::collections::VecDeque::new();
                while !putting.is_empty() || !held.is_empty() {
                    tokio::task::yield_now().await;
                    while putting.try_join_next().is_some() {}
                    while let Some(handed) = receiver.try_recv() {
                        received += 1;
                        held.push_back(handed);
                    }
                    most = most.max(held.iter().map(|handed: &QueuedBatch| bytes(&handed.batch)).sum());
                    held.drain(..held.len().min(held.len().saturating_sub(keep).max(1)));
                }
                (received, most)
            });
            prop_assert_eq!(received, sizes.len());
            prop_assert!(most <= ROOM, "{}", most);
        }
    }
}
