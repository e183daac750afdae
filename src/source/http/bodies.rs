//! The bytes of bodies under way: counted as they arrive, not as they are declared, and bounded over all connections. What
//! counts is the memory that is held, with what a growing buffer has in reserve.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;

use crate::http_server::RequestBody;

/// A gzip body is unpacked so much at a time.
const STEP_BYTES: usize = 64 << 10;

/// What all bodies of a source hold together.
#[derive(Debug, Default)]
pub struct Bodies(Arc<AtomicUsize>);

/// One body, counted until it is dropped.
#[derive(Debug)]
pub struct BodyBuffer {
    all: Arc<AtomicUsize>,
    client: Arc<AtomicUsize>,
    counted: usize,
    bytes: Vec<u8>,
}

/// How many bytes there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// In one body.
    pub body: usize,
    /// In all together. One client may have half of it.
    pub all: usize,
}

/// Why a body was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It has more bytes than a body may have.
    #[error("the body has more than max_body = {0} bytes{unpacked}: send fewer readings at once", unpacked = if *.1 { " unpacked" } else { "" })]
    TooLarge(usize, bool),
    /// All bodies together have as many bytes as they may.
    #[error("the bodies under way have max_bodies = {0} bytes: send it again later")]
    NoRoom(usize),
    /// The client's bodies have as many bytes as they may.
    #[error(
        "the bodies under way of your address have {0} bytes, half of max_bodies: wait for answers before you send more"
    )]
    NoRoomForClient(usize),
    /// The connection broke.
    #[error("the body ended early: {0}")]
    Broken(#[from] hyper::Error),
    /// It is not what its Content-Encoding says.
    #[error("the body is no gzip: {0}: send it as gzip, or without Content-Encoding")]
    NotGzip(io::Error),
}

impl Bodies {
    /// Takes a body in as it arrives.
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

    /// Unpacks a gzip body, as far as there is room: what unpacks to more is not unpacked to its end.
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

    /// Bytes of all bodies.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A body that has arrived.
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
    /// What arrived.
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

    /// Counts a buffer of so many bytes.
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
