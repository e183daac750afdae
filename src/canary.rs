//! A test reading sent through the pipeline to check that readings arrive. The daemon's half accepts the request over
//! HTTP; the command's half makes it. The sources themselves prove nothing: a quiet one delivers nothing, and a
//! simulated one says nothing about what is measured.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use delivery::batch::{Batch, Receipt};
use delivery::ledger::Ledger;
use tokio::sync::{Mutex, mpsc, watch};
use values::duration::friendly;
use wire::{Reading, Sensor, Value};

use crate::clock;
use crate::source::handover::{Sender, WeakSender};
use crate::source::{Output, Refused, to_channel};

/// The path at which the daemon accepts the request.
pub const PATH: &str = "/canary";

/// The wait between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// The connect timeout: a daemon on the same machine answers well within it.
const CONNECT: Duration = Duration::from_secs(2);

/// Sends test readings through the running pipeline, one at a time.
#[derive(Debug)]
pub struct Canary {
    /// Weak, so that it does not keep the pipeline's input open once the sources have ended.
    handover: WeakSender,
    ledger: Arc<Ledger>,
    sink: String,
    alone: Mutex<()>,
}

/// The reading is not known to have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Another one is on its way.
    #[error("another canary is on its way: one at a time")]
    Busy,
    /// No source is running any more.
    #[error("the daemon is draining and accepts no readings")]
    Draining,
    /// The pipeline accepts nothing at the moment.
    #[error("memory and spool are full, and the sink takes nothing: the daemon accepts no readings")]
    Blocked,
    /// It waits on disk, behind other readings or for the sink.
    #[error("the reading went to the spool or to the dead letters: the sink takes nothing, or readings wait before it")]
    Elsewhere,
}

/// No reading arrived in time.
#[derive(Debug, thiserror::Error)]
#[error("no reading was delivered within {}: {last}", friendly(*.within))]
pub struct NotInTime {
    within: Duration,
    last: String,
}

impl Canary {
    /// Hands readings over to `handover`; `sink` is the destination as shown to people.
    pub fn new(handover: &Sender, ledger: Arc<Ledger>, sink: String) -> Self {
        Self {
            handover: handover.downgrade(),
            ledger,
            sink,
            alone: Mutex::default(),
        }
    }

    /// Sends one reading and waits until the sink has accepted it. Returns where it arrived and how long it took.
    pub async fn send(&self) -> Result<String, Undelivered> {
        let _alone = self.alone.try_lock().map_err(|_| Undelivered::Busy)?;
        let started = Instant::now();
        let (settle, mut settled) = mpsc::unbounded_channel();
        let receipt = Receipt::new(1, 0, to_channel(settle));
        self.hand_over(receipt.clone()).await?;
        if settled.recv().await.is_none() || !receipt.is_delivered() {
            return Err(Undelivered::Elsewhere);
        }
        let took = Duration::from_millis(started.elapsed().as_millis() as u64);
        Ok(format!("delivered to {} in {}", self.sink, friendly(took)))
    }

    async fn hand_over(&self, receipt: Receipt) -> Result<(), Undelivered> {
        let handover = self.handover.upgrade().ok_or(Undelivered::Draining)?;
        let (_, never) = watch::channel(false);
        let output = Output::new(handover, never, self.ledger.clone());
        // A new sensor each time: one that came back only now and then would be reported silent in between.
        let sensor = Arc::new(Sensor::new(&format!("canary-{:016x}", rand::random::<u64>()), "canary"));
        let reading = Reading::new(sensor, clock::now(), Value::Scalar(1.0)).expect("one is a finite number");
        let batch = Batch {
            readings: vec![reading],
            receipt: Some(receipt),
        };
        let place = output.reserve(&batch.readings).await.map_err(|refused| match refused {
            Refused::Blocked => Undelivered::Blocked,
            Refused::Closed => Undelivered::Draining,
        })?;
        output.put(batch, place);
        Ok(())
    }
}

/// Sends requests to the daemon at `address` until a reading has arrived, and returns the daemon's answer.
pub fn ask(address: SocketAddr, within: Duration) -> Result<String, NotInTime> {
    let deadline = Instant::now() + within;
    loop {
        let last = match request(address, deadline.saturating_duration_since(Instant::now())) {
            Ok(Ok(arrived)) => return Ok(arrived),
            Ok(Err(reason)) => reason.trim_end().to_owned(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                format!("the daemon at {address} took the reading and has not delivered it")
            }
            Err(error) => format!("requesting a canary from the daemon at {address}: {error}"),
        };
        if deadline.saturating_duration_since(Instant::now()) <= PAUSE {
            return Err(NotInTime { within, last });
        }
        thread::sleep(PAUSE);
    }
}

/// The daemon's answer; the inner error says why the reading did not arrive.
fn request(address: SocketAddr, within: Duration) -> io::Result<Result<String, String>> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(within.max(PAUSE)))?;
    write!(stream, "POST {PATH} HTTP/1.0\r\ncontent-length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok(match status {
        "200" => Ok(body.to_owned()),
        "404" | "405" => Err("the server there has no canary: it is another program, or an older version".to_owned()),
        _ => Err(body.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use delivery::pressure::Pressure;

    use super::*;
    use crate::source::handover::{self, Receiver};

    fn canary() -> (Arc<Canary>, Sender, Receiver) {
        let (sender, input) = handover::channel(1);
        let canary = Canary::new(&sender, Arc::default(), "a test".into());
        (Arc::new(canary), sender, input)
    }

    #[tokio::test]
    async fn only_what_the_sink_has_is_delivered() {
        let (canary, _sender, mut input) = canary();
        for delivered in [true, false] {
            let sending = tokio::spawn({
                let canary = canary.clone();
                async move { canary.send().await }
            });
            let receipt = input.recv().await.unwrap().batch.receipt.unwrap();
            assert_eq!(canary.send().await, Err(Undelivered::Busy));
            if delivered {
                receipt.deliver(1);
                assert!(sending.await.unwrap().unwrap().starts_with("delivered to a test in "));
            } else {
                receipt.settle(1);
                assert_eq!(sending.await.unwrap(), Err(Undelivered::Elsewhere));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_pipeline_is_told_at_once() {
        let (canary, _sender, input) = canary();
        input.set_pressure(Pressure::Blocked);
        let sent = tokio::time::timeout(Duration::from_secs(60), canary.send()).await;
        assert_eq!(sent.unwrap(), Err(Undelivered::Blocked));
    }

    #[tokio::test]
    async fn it_does_not_hold_the_input_open() {
        let (canary, sender, mut input) = canary();
        drop(sender);
        assert!(input.recv().await.is_none());
        assert_eq!(canary.send().await, Err(Undelivered::Draining));
    }
}
