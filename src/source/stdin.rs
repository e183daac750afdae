//! Readings on standard input, as fast as the pipeline takes them. A pipe cannot be read again: a restart does not
//! continue, and readings that a stopped source has read ahead are lost.

use std::io::{self, Read};
use std::sync::Arc;
use std::thread;

use delivery::batch::Batch;
use tokio::sync::mpsc;

use super::readings::{Chunk, Readings};
use super::table::Described;
use super::{Ended, Malformed, Output, SourceError};

/// The name of standard input in messages.
const PLACE: &str = "standard input";

/// Runs until standard input ends or `output` asks it to stop.
pub(super) async fn run(described: Described, output: Output, malformed: Arc<Malformed>) -> Result<Ended, SourceError> {
    read(io::stdin(), described, output, malformed).await
}

async fn read(
    pipe: impl Read + Send + 'static,
    described: Described,
    output: Output,
    malformed: Arc<Malformed>,
) -> Result<Ended, SourceError> {
    // One chunk ahead is enough for a pipe, and the least to lose.
    let (chunks, read) = mpsc::channel(1);
    // A thread, not a task: reading cannot be cancelled, and must not delay the daemon's end.
    thread::Builder::new()
        .name("stdin".into())
        .spawn(move || Readings::new(pipe, PLACE.into(), described, malformed).feed(&chunks))
        .map_err(|source| SourceError::File {
            doing: "starting a thread to read",
            file: PLACE.into(),
            source,
        })?;
    let mut stop = output.clone();
    tokio::select! {
        biased;
        () = stop.stopped() => Ok(Ended::Stopped),
        passed = pass(read, &output) => passed,
    }
}

async fn pass(mut chunks: mpsc::Receiver<Result<Chunk, SourceError>>, output: &Output) -> Result<Ended, SourceError> {
    while let Some(chunk) = chunks.recv().await {
        let mut readings: Vec<_> = chunk?.readings.into_iter().map(|(reading, _)| reading).collect();
        output.admit(&mut readings, 0);
        if readings.is_empty() {
            continue;
        }
        let batch = Batch {
            readings,
            receipt: None,
        };
        if output.wait_for_capacity().await.is_err() || output.send(batch).await.is_err() {
            return Ok(Ended::Stopped);
        }
    }
    Ok(Ended::Spent)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use delivery::pressure::Pressure;

    use super::super::Admission;
    use super::super::trial::Trial;
    use super::*;

    fn described() -> Described {
        Described {
            sensor: "pipe".into(),
            datatype: "value".into(),
            unit: None,
            group: None,
        }
    }

    #[tokio::test]
    async fn readings_come_in_order_and_malformed_lines_are_counted() {
        let mut text = String::from("timestamp,value\n");
        for second in 0..1_000 {
            text += &format!("2024-05-01 10:{:02}:{:02},{second}\n", second / 60, second % 60);
            text += if second % 100 == 0 { "nonsense\n" } else { "" };
        }
        let (output, mut trial) = Trial::new(2);
        let malformed = Arc::new(Malformed::default());
        let source = tokio::spawn(read(io::Cursor::new(text), described(), output, Arc::clone(&malformed)));
        let readings: Vec<_> = trial.all().await.into_iter().flat_map(|batch| batch.readings).collect();
        assert_eq!(readings.len(), 1_000);
        assert!(readings.is_sorted_by_key(|reading| reading.time()));
        assert_eq!(malformed.count(), 10);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
    }

    #[tokio::test]
    async fn readings_of_new_sensors_beyond_the_limit_are_left_out() {
        let mut text = String::from("timestamp,value,sensor\n");
        for second in 0..30 {
            text += &format!("2024-05-01 10:00:{second:02},1,s{}\n", second % 3);
        }
        let (output, mut trial) = Trial::new(2);
        let admission = Arc::new(Admission::new("pipe", 2.try_into().unwrap()));
        let output = output.admitting(Some(admission.clone()));
        let source = tokio::spawn(read(io::Cursor::new(text), described(), output, Arc::default()));
        let readings: Vec<_> = trial.all().await.into_iter().flat_map(|batch| batch.readings).collect();
        assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
        assert_eq!((readings.len(), admission.refused()), (20, 10));
        assert_eq!(trial.ledger.snapshot().produced, 20, "what is refused is not produced");
    }

    #[tokio::test]
    async fn it_stops_while_the_pipe_is_silent() {
        let (silent, _writer) = io::pipe().unwrap();
        let (output, trial) = Trial::new(2);
        let source = tokio::spawn(read(silent, described(), output, Arc::default()));
        trial.stop.send_replace(true);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
    }

    #[tokio::test]
    async fn it_waits_under_pressure() {
        let (output, mut trial) = Trial::new(2);
        trial.batches.set_pressure(Pressure::High);
        let text = io::Cursor::new("timestamp,value\n2024-05-01 10:00:00,1\n");
        let source = tokio::spawn(read(text, described(), output, Arc::default()));
        tokio::task::yield_now().await;
        assert!(trial.batches.try_recv().is_none());
        trial.batches.set_pressure(Pressure::Low);
        assert_eq!(trial.all().await.len(), 1);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
    }

    #[tokio::test]
    async fn a_pipe_that_holds_something_else_is_an_error() {
        let (output, _trial) = Trial::new(2);
        let error = read(io::Cursor::new("hello\n"), described(), output, Arc::default())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("standard input, line 1"), "{error}");
    }
}
