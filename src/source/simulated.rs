//! Simulated sensors, at a pace. Readings that become due while the pipeline is slow are not lost: they come later.

use delivery::batch::Batch;
use simulate::{Running, Simulation};
use tokio::time::{Instant, sleep_until};
use tracing::debug;
use values::number::Speed;
use wire::Timestamp;

use super::readings::BATCH;
use super::{Closed, Ended, Output};
use crate::clock;

/// A validated simulation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub simulation: Simulation,
    pub speed: Speed,
    pub start: Option<Timestamp>,
    pub count: Option<u64>,
}

/// Runs until `count` readings are handed over or `output` asks it to stop.
pub(super) async fn run(name: String, config: Config, output: Output) -> Ended {
    let mut stop = output.clone();
    tokio::select! {
        biased;
        () = stop.stopped() => Ended::Stopped,
        played = play(&name, &config, &output) => match played {
            Ok(()) => Ended::Spent,
            Err(Closed) => Ended::Stopped,
        },
    }
}

async fn play(name: &str, config: &Config, output: &Output) -> Result<(), Closed> {
    let began = Instant::now();
    let mut running = config.simulation.start(config.start.unwrap_or_else(clock::now));
    let mut left = config.count.unwrap_or(u64::MAX);
    let mut labels = Vec::new();
    while left > 0 {
        let due = match config.speed {
            Speed::Factor(factor) => due(&running, began, factor).await,
            Speed::Max => {
                output.wait_for_capacity().await?;
                i64::MAX
            }
        };
        let most = left.min(BATCH as u64) as usize;
        let mut readings = Vec::with_capacity(most);
        while readings.len() < most && running.offset() <= due {
            readings.extend(running.step(&mut labels));
        }
        for label in labels.drain(..) {
            let (sensor, kind, end) = (label.sensor.id(), label.kind, label.end);
            debug!(source = name, sensor, kind, start = %label.start, %end, label.magnitude, "fault injected");
        }
        left -= readings.len() as u64;
        if !readings.is_empty() {
            output
                .send(Batch {
                    readings,
                    receipt: None,
                })
                .await?;
        }
    }
    Ok(())
}

/// Waits for the next reading, at this factor of real time; returns the event time due by now, in µs after the start.
/// Each instant is counted from the beginning, so they do not drift, and missed ones are all due.
async fn due(running: &Running, began: Instant, factor: f64) -> i64 {
    let next = running.offset();
    sleep_until(began + std::time::Duration::from_secs_f64(next as f64 / 1e6 / factor)).await;
    // The timer rounds its instant to a nanosecond, so the reading it was set for counts as due.
    next.max((began.elapsed().as_secs_f64() * factor * 1e6) as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::time::Duration;

    use delivery::pressure::Pressure;
    use tokio::time::advance;

    use super::super::trial::{Trial, context};
    use super::super::{Settings, spawn};
    use super::*;

    /// Runs the source `house` with these settings.
    fn house(text: &str, output: Output) -> tokio::task::JoinHandle<Result<Ended, super::super::SourceError>> {
        let settings: Settings =
            toml::from_str(&format!("kind = \"simulate\"\nprofile = \"temperature\"\n{text}")).unwrap();
        spawn("house", &settings, output, context("/nowhere".as_ref(), Arc::default()))
    }

    const START: &str = "start = \"2024-05-01T00:00:00Z\"";

    #[tokio::test(start_paused = true)]
    async fn readings_come_at_their_interval_without_drift() {
        let (output, mut trial) = Trial::new(10);
        let source = house(
            &format!("sensors = 3\ninterval = \"250ms\"\nspeed = 0.5\n{START}"),
            output,
        );
        let began = Instant::now();
        for tick in 0..1_000 {
            let batch = trial.settled().await.unwrap();
            assert_eq!(batch.readings.len(), 3);
            let start: Timestamp = "2024-05-01T00:00:00Z".parse().unwrap();
            for reading in &batch.readings {
                assert_eq!(reading.time(), start.saturating_add_micros(tick * 250_000));
            }
            // Tokio's timer rounds up to the millisecond; that error does not add up.
            let late = began
                .elapsed()
                .checked_sub(Duration::from_millis(500 * tick as u64))
                .unwrap();
            assert!(late <= Duration::from_millis(1), "tick {tick} is {late:?} late");
        }
        trial.stop.send_replace(true);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_that_were_missed_are_caught_up() {
        let (output, mut trial) = Trial::new(1);
        let _source = house(START, output);
        trial.settled().await.unwrap();
        // The pipeline has room for one batch, and does not move for a hundred seconds.
        advance(Duration::from_millis(1_500)).await;
        tokio::task::yield_now().await;
        advance(Duration::from_millis(98_500)).await;
        let mut times = Vec::new();
        while times.len() < 100 {
            let batch = trial.settled().await.unwrap();
            times.extend(
                batch
                    .readings
                    .iter()
                    .map(|reading| reading.time().as_micros() / 1_000_000),
            );
        }
        let expected: Vec<i64> = (times[0]..).take(times.len()).collect();
        assert_eq!(times, expected);
    }

    #[tokio::test]
    async fn a_count_is_exact_and_ends_the_source() {
        let (output, mut trial) = Trial::new(4);
        let source = house("sensors = 7\ncount = 10001\nspeed = \"max\"\nfaults = 100", output);
        let readings: usize = trial.all().await.iter().map(|batch| batch.readings.len()).sum();
        assert_eq!(readings, 10_001);
        assert_eq!(trial.ledger.snapshot().produced, 10_001);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Spent);
    }

    #[tokio::test]
    async fn at_most_speed_it_waits_under_pressure_and_at_a_factor_it_does_not() {
        let (output, mut trial) = Trial::new(1);
        trial.batches.set_pressure(Pressure::High);
        let _real = house("interval = \"1ms\"", output);
        assert!(trial.settled().await.is_some());

        let (output, mut trial) = Trial::new(1);
        trial.batches.set_pressure(Pressure::High);
        let source = house("speed = \"max\"", output);
        tokio::task::yield_now().await;
        assert!(trial.batches.try_recv().is_none());
        trial.batches.set_pressure(Pressure::Low);
        assert!(trial.settled().await.is_some());
        trial.stop.send_replace(true);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
    }

    #[tokio::test]
    async fn it_stops_while_the_pipeline_is_full_and_when_that_has_ended() {
        let (output, trial) = Trial::new(1);
        let source = house("speed = \"max\"", output);
        tokio::task::yield_now().await;
        trial.stop.send_replace(true);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);

        let (output, trial) = Trial::new(1);
        drop(trial.batches);
        let source = house("speed = \"max\"", output);
        assert_eq!(source.await.unwrap().unwrap(), Ended::Stopped);
    }

    #[tokio::test]
    async fn settings_that_do_not_hold_are_an_error_with_every_problem() {
        let (output, _trial) = Trial::new(1);
        let error = house("scale = 1\nlowest = 1", output)
            .await
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("source.house.scale") && error.contains("source.house.lowest"),
            "{error}"
        );
    }
}
