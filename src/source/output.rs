//! The output of a source, through which it hands its readings over.

use std::sync::Arc;

use delivery::batch::Batch;
use delivery::ledger::Ledger;
use delivery::pressure::Pressure;
use tokio::sync::watch;
use wire::Reading;

use super::handover::{Closed, Place, Sender};
use super::produced::Produced;
use super::{Admission, TooManySensors};
use crate::telemetry::console::Console;
use crate::telemetry::recent_readings::{Point, RecentReadings};

/// The output of a source.
#[derive(Clone, Debug)]
pub struct Output {
    handover: Sender,
    stop: Stop,
    ledger: Arc<Ledger>,
    console: Option<Arc<Console>>,
    recent: Option<Arc<RecentReadings>>,
    produced: Produced,
    admission: Option<Arc<Admission>>,
}

/// Why readings cannot be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The pipeline is blocked.
    Blocked,
    /// The pipeline has ended and accepts nothing more.
    Closed,
}

impl Output {
    /// Creates an output that hands over to `handover`, stops with `stop` and counts in `ledger`.
    pub fn new(handover: Sender, stop: watch::Receiver<bool>, ledger: Arc<Ledger>) -> Self {
        Self {
            handover,
            stop: Stop(stop),
            ledger,
            console: None,
            recent: None,
            produced: Produced::default(),
            admission: None,
        }
    }

    /// Also shows readings on a console.
    pub fn shown_on(self, console: Option<Arc<Console>>) -> Self {
        Self { console, ..self }
    }

    /// Also keeps readings for people who watch the dashboard.
    pub fn traced_in(self, recent: Option<Arc<RecentReadings>>) -> Self {
        Self { recent, ..self }
    }

    /// Also counts readings here.
    pub fn counted_in(self, produced: Produced) -> Self {
        Self { produced, ..self }
    }

    /// Limits new sensors by this admission.
    pub fn admitting(self, admission: Option<Arc<Admission>>) -> Self {
        Self { admission, ..self }
    }

    /// Admits the sensors of all these readings, or none of them: for a source whose clients can retry.
    pub fn admit_all(&self, readings: &[Reading]) -> Result<(), TooManySensors> {
        match &self.admission {
            Some(admission) => admission.admit_all(readings),
            None => Ok(()),
        }
    }

    /// Removes readings of new sensors that are not admitted, from index `from` on. Returns how many.
    pub fn admit(&self, readings: &mut Vec<Reading>, from: usize) -> usize {
        match &self.admission {
            Some(admission) => admission.admit(readings, from),
            None => 0,
        }
    }

    /// Hands a batch over; waits for capacity.
    pub async fn send(&self, batch: Batch) -> Result<(), Closed> {
        let place = self.handover.reserve(&batch.readings).await?;
        self.put(batch, place);
        Ok(())
    }

    /// Reserves capacity for these readings, and waits for it unless the pipeline is or becomes blocked: for a source
    /// whose clients can retry.
    pub async fn reserve(&self, readings: &[Reading]) -> Result<Place, Refused> {
        let mut pressure = self.handover.pressure();
        tokio::select! {
            biased;
            blocked = pressure.wait_for(|pressure| *pressure == Pressure::Blocked) => Err(match blocked {
                Ok(_) => Refused::Blocked,
                Err(_) => Refused::Closed,
            }),
            place = self.handover.reserve(readings) => place.map_err(|Closed| Refused::Closed),
        }
    }

    /// Hands a batch over into its reserved capacity.
    pub fn put(&self, batch: Batch, place: Place) {
        let readings = batch.readings.len() as u64;
        self.ledger.record(|counts| {
            counts.produced += readings;
            counts.in_flight += readings;
        });
        if let Some(console) = &self.console {
            console.show(&batch.readings);
        }
        self.produced.add(readings);
        if let Some(recent) = self.recent.as_ref().filter(|recent| recent.wanted()) {
            let unjudged = batch.readings.iter().map(|reading| (reading, Point::unjudged(reading)));
            recent.keep(unjudged);
        }
        place.put(batch);
    }

    /// True while the pipeline is blocked, when decoding is not worthwhile.
    pub fn is_blocked(&self) -> bool {
        *self.handover.pressure().borrow() == Pressure::Blocked
    }

    /// Waits while the pipeline is under pressure. A source that can wait (a file, a pipe) calls it before each batch.
    /// One that cannot (a device that measures now) does not, and its readings go to the spool.
    pub async fn wait_for_capacity(&self) -> Result<(), Closed> {
        let mut pressure = self.handover.pressure();
        let calm = pressure.wait_for(|pressure| *pressure == Pressure::Low).await;
        calm.map(drop).map_err(|_| Closed)
    }

    /// Returns once the source is asked to stop.
    pub async fn stopped(&mut self) {
        self.stop.asked().await;
    }

    /// Returns the stop signal, for a source that releases the output before it ends.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }
}

/// The signal that asks a source to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns once the source is asked to stop.
    pub async fn asked(&mut self) {
        // Without a sender nobody can want more readings.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::super::trial::Trial;
    use super::*;

    fn readings() -> Vec<Reading> {
        let sensor = Arc::new(wire::Sensor::new("a", "k"));
        vec![Reading::new(sensor, wire::Timestamp::default(), wire::Value::Scalar(1.0)).unwrap()]
    }

    async fn offer(output: &Output) -> Result<(), Refused> {
        let readings = readings();
        let place = output.reserve(&readings).await?;
        let receipt = None;
        output.put(Batch { readings, receipt }, place);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_blocked_pipeline_refuses_and_what_it_refuses_is_not_counted() {
        let (output, mut trial) = Trial::new(1);
        assert_eq!(offer(&output).await, Ok(()));
        trial.batches.set_pressure(Pressure::High);
        let waiting = tokio::spawn({
            let output = output.clone();
            async move { offer(&output).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "there is no room, and it waits for it");
        assert_eq!(trial.ledger.snapshot().produced, 1);
        assert!(trial.batches.recv().await.is_some());
        assert_eq!(waiting.await.unwrap(), Ok(()));
        let waiting = tokio::spawn({
            let output = output.clone();
            async move { offer(&output).await }
        });
        tokio::task::yield_now().await;
        trial.batches.set_pressure(Pressure::Blocked);
        assert_eq!(waiting.await.unwrap(), Err(Refused::Blocked), "it waits no longer");
        assert!(trial.batches.recv().await.is_some());
        assert_eq!(offer(&output).await, Err(Refused::Blocked), "although there is room");
        assert_eq!(trial.ledger.snapshot().produced, 2, "what was refused is not counted");
        trial.batches.set_pressure(Pressure::Low);
        assert_eq!(offer(&output).await, Ok(()));
        drop(trial.batches);
        assert_eq!(offer(&output).await, Err(Refused::Closed));
        assert_eq!(trial.ledger.snapshot().produced, 3);
    }
}
