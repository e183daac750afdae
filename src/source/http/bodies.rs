//! The bytes of request bodies held in memory: counted as they arrive, not as declared, and bounded over all
//! connections. The count is the memory allocated, with the spare capacity of growing buffers.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;

use crate::http_server::RequestBody;

/// The chunk in which a gzip body is unpacked.
const STEP_BYTES: usize = 64 << 10;

/// The bytes of all bodies of a source.
#[derive(Debug, Default)]
pub struct Bodies(Arc<AtomicUsize>);

/// The buffer of one body, counted until it is dropped.
#[derive(Debug)]
pub struct BodyBuffer {
    all: Arc<AtomicUsize>,
    client: Arc<AtomicUsize>,
    counted: usize,
    bytes: Vec<u8>,
}

/// The limits of bodies in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Of one body.
    pub body: usize,
    /// Of all bodies together. One client may use half of it.
    pub all: usize,
}

/// Why a body was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It exceeds the limit of one body.
    #[error("the body has more than max_body = {0} bytes{unpacked}: send fewer readings at once", unpacked = if *.1 { " unpacked" } else { "" })]
    TooLarge(usize, bool),
    /// All bodies together have reached their limit.
    #[error("the bodies being received have max_bodies = {0} bytes: send it again later")]
    NoRoom(usize),
    /// The client's bodies have reached their limit.
    #[error("the bodies from your address have {0} bytes, half of max_bodies: wait for answers before you send more")]
    NoRoomForClient(usize),
    /// The connection broke.
    #[error("the body ended early: {0}")]
    Broken(#[from] hyper::Error),
    /// It is not what its Content-Encoding says.
    #[error("the body is not gzip: {0}: send it as gzip, or without Content-Encoding")]
    NotGzip(io::Error),
}

impl Bodies {
    /// Receives a body.
    pub async fn receive(
        &self,
        mut body: RequestBody,
        client: &Arc<AtomicUsize>,
        room: BodyLimits,
    ) -> Result<BodyBuffer, BodyError> {
        let mut held = self.empty(client);
        while let Some(frame) = body.frame().await {
            if let Ok(bytes) = frame?.into_data() {
                held.add(&bytes, room, false)?;
            }
        }
        Ok(held)
    }

    /// Unpacks a gzip body within its limits: one that would exceed them is not unpacked to its end.
    pub fn unpack(&self, packed: BodyBuffer, room: BodyLimits) -> Result<BodyBuffer, BodyError> {
        let mut held = self.empty(&packed.client);
        let mut unpacked = MultiGzDecoder::new(packed.bytes());
        let mut step = vec![0; STEP_BYTES];
        loop {
            match unpacked.read(&mut step).map_err(BodyError::NotGzip)? {
                0 => return Ok(held),
                bytes => held.add(&step[..bytes], room, true)?,
            }
        }
    }

    /// Returns the bytes of all bodies.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns a body that has arrived.
    #[cfg(test)]
    pub fn arrived(&self, bytes: &[u8], room: BodyLimits) -> Result<BodyBuffer, BodyError> {
        let mut held = self.empty(&Arc::default());
        held.add(bytes, room, false)?;
        Ok(held)
    }

    fn empty(&self, client: &Arc<AtomicUsize>) -> BodyBuffer {
        BodyBuffer {
            all: self.0.clone(),
            client: client.clone(),
            counted: 0,
            bytes: Vec::new(),
        }
    }
}

impl BodyBuffer {
    /// Returns the bytes received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn add(&mut self, bytes: &[u8], room: BodyLimits, unpacked: bool) -> Result<(), BodyError> {
        let length = self.bytes.len() + bytes.len();
        if length > room.body {
            return Err(BodyError::TooLarge(room.body, unpacked));
        }
        if length > self.bytes.capacity() {
            let capacity = length.max(2 * self.bytes.capacity()).min(room.body);
            self.count(capacity, room)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Counts a buffer of this capacity.
    fn count(&mut self, capacity: usize, room: BodyLimits) -> Result<(), BodyError> {
        let more = capacity - self.counted;
        self.counted = capacity;
        let all = self.all.fetch_add(more, Ordering::Relaxed) + more;
        let client = self.client.fetch_add(more, Ordering::Relaxed) + more;
        if client > room.all / 2 {
            return Err(BodyError::NoRoomForClient(room.all / 2));
        }
        if all > room.all {
            return Err(BodyError::NoRoom(room.all));
        }
        Ok(())
    }
}

impl Drop for BodyBuffer {
    fn drop(&mut self) {
        self.all.fetch_sub(self.counted, Ordering::Relaxed);
        self.client.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn a_growing_body_counts_with_its_reserve() {
        let bodies = Bodies::default();
        let room = BodyLimits {
            body: 1_000,
            all: 4_000,
        };
        let mut held = bodies.arrived(&[b' '; 300], room).unwrap();
        assert_eq!(bodies.bytes(), 300);
        for (more, bytes) in [(1, 600), (299, 600), (100, 1_000), (300, 1_000)] {
            held.add(&vec![b' '; more], room, false).unwrap();
            assert_eq!((bodies.bytes(), held.bytes.capacity()), (bytes, bytes));
        }
        assert!(matches!(
            held.add(b" ", room, false),
            Err(BodyError::TooLarge(1_000, false))
        ));
        drop(held);
        assert_eq!(bodies.bytes(), 0);
    }
}
