//! What is found of the faults that profiles inject, how soon, and how often nothing was wrong: `make bench-detect`.
//! What counts, and why these figures, is in docs/design/detection.md.

use std::error::Error;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use simulate::{Profile, Temperature, Wind};

use crate::healthy::Healthy;
use crate::report::Report;
use crate::run::Run;

/// Series with nothing wrong, of many natures.
mod healthy;
/// What was found and what was false, counted.
mod judge;
/// The tables.
mod report;
/// Simulated sensors of a profile in one page, with faults.
mod run;

/// Another seed for each run, the same every time.
const SEED: u64 = 20_240_101;
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

fn main() -> Result<(), Box<dyn Error>> {
    // With words, only the series whose name and interval have them all, such as `wind "1 min"`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: String, interval| {
        let title = format!("{name} {}", report::every(interval));
        words.iter().all(|word| title.contains(word))
    };
    let runs: Vec<_> = runs()
        .into_iter()
        .filter(|run| asked(run.name.into(), run.interval))
        .collect();
    let healthy: Vec<_> = Healthy::all()
        .into_iter()
        .filter(|healthy| asked(healthy.nature.name(), healthy.interval))
        .collect();
    let jobs = runs.len() + healthy.len();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return done;
            }
            done.push(match runs.get(job) {
                Some(run) => (job, Report::of_faults(run)),
                None => (job, Report::of_health(&healthy[job - runs.len()])),
            });
        }
    };
    let workers = thread::available_parallelism()?.get();
    let mut done: Vec<(usize, Report)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("no run panics"))
            .collect()
    });
    done.sort_by_key(|(job, _)| *job);
    let mut out = std::io::stdout().lock();
    report::write(&mut out, done.into_iter().map(|(_, report)| report))?;
    out.flush()?;
    Ok(())
}

/// A profile, the time between readings, faults a day, sensors and days. Long enough for a hundred faults of each kind, and for
/// fifty sensor-weeks without.
fn runs() -> Vec<Run> {
    let profiles = [
        ("temperature", Profile::Temperature(Temperature::HOUSE), 2),
        ("device", Profile::Temperature(Temperature::DEVICE), 1),
        ("wind", Profile::Wind(Wind::LAND), 2),
    ];
    let mut runs = Vec::new();
    for (name, profile, decimals) in profiles {
        for (interval, rate, sensors, days) in [
            (SECOND, 4.0, 24, 9),
            (SECOND, 24.0, 24, 3),
            (SECOND, 0.0, 26, 14),
            (MINUTE, 4.0, 24, 29),
            (MINUTE, 24.0, 24, 15),
            (MINUTE, 0.0, 26, 28),
        ] {
            runs.push(Run {
                name,
                profile,
                decimals,
                interval,
                rate,
                sensors,
                days,
                seed: SEED + runs.len() as u64,
            });
        }
    }
    runs
}
