use std::io::{self, Write};

use detect::Kinds;

use crate::SECOND;
use crate::healthy::Healthy;
use crate::judge::{Judgement, Recall};
use crate::run::Run;

const WEEK: f64 = 7.0;

/// What one run came to.
pub enum Report {
    Faults(Run, Judgement, Judgement),
    Health {
        name: String,
        interval: i64,
        weeks: f64,
        all: Judgement,
        certain: Judgement,
    },
}

impl Report {
    pub fn of_faults(run: &Run) -> Self {
        let (faults, alarms) = run.play();
        let judge = |kinds| Judgement::of(&faults, &alarms, kinds, run.interval, run.end());
        if run.rate > 0.0 {
            return Self::Faults(
                run.clone(),
                judge(Kinds::all()),
                judge(Kinds::all().without(Kinds::NOVEL)),
            );
        }
        Self::Health {
            name: run.name.into(),
            interval: run.interval,
            weeks: f64::from(run.sensors) * run.days as f64 / WEEK,
            all: judge(Kinds::all()),
            certain: judge(Kinds::all().without(Kinds::NOVEL)),
        }
    }

    pub fn of_health(healthy: &Healthy) -> Self {
        let alarms = healthy.play();
        let judge = |kinds| Judgement::of(&[], &alarms, kinds, healthy.interval, i64::MAX);
        Self::Health {
            name: healthy.nature.name(),
            interval: healthy.interval,
            weeks: healthy.weeks(),
            all: judge(Kinds::all()),
            certain: judge(Kinds::all().without(Kinds::NOVEL)),
        }
    }
}

/// All runs: first with faults, then without.
pub fn write(out: &mut impl Write, reports: impl Iterator<Item = Report>) -> io::Result<()> {
    let reports: Vec<_> = reports.collect();
    writeln!(
        out,
        "Injected faults: found between first and last reading (with its way back), delay in the median, false incidents"
    )?;
    for report in &reports {
        if let Report::Faults(run, all, certain) = report {
            faults(out, run, all, certain)?;
        }
    }
    writeln!(
        out,
        "\nNothing wrong: false incidents a sensor and week, and how many there were"
    )?;
    writeln!(
        out,
        "{:20}{:>6}{:>8}{:>9}{:>9}  {:9}{:>9}",
        "series", "every", "weeks", "all", "", "", "no Novel"
    )?;
    for report in &reports {
        if let Report::Health {
            name,
            interval,
            weeks,
            all,
            certain,
        } = report
        {
            writeln!(
                out,
                "{name:20}{:>6}{weeks:8.0}{:9.2}{:9}  {:9}{:9.2}  {}",
                every(*interval),
                all.wrong() as f64 / weeks,
                all.wrong(),
                "",
                certain.wrong() as f64 / weeks,
                told(certain)
            )?;
        }
    }
    Ok(())
}

fn faults(out: &mut impl Write, run: &Run, all: &Judgement, certain: &Judgement) -> io::Result<()> {
    let weeks = f64::from(run.sensors) * run.days as f64 / WEEK;
    writeln!(
        out,
        "\n{}, a reading every {}, {} faults a day, {weeks:.0} sensor-weeks",
        run.name,
        every(run.interval),
        run.rate
    )?;
    for (kind, recall) in &all.recalls {
        row(out, kind, recall, &certain.recalls[kind], run.interval)?;
    }
    row(out, "all", &all.recall(), &certain.recall(), run.interval)?;
    for (name, judgement) in [("", all), (", without Novel", certain)] {
        writeln!(
            out,
            "incidents{name}: {}, precision {:.3}, {:.2} false a sensor and week: {}",
            judgement.incidents,
            1.0 - judgement.wrong() as f64 / judgement.incidents.max(1) as f64,
            judgement.wrong() as f64 / weeks,
            told(judgement)
        )?;
    }
    Ok(())
}

fn row(out: &mut impl Write, kind: &str, all: &Recall, certain: &Recall, interval: i64) -> io::Result<()> {
    let share = |part: usize| part as f64 / all.faults.max(1) as f64;
    let mut delays = all.delays.clone();
    delays.sort_unstable();
    let delay = delays.get(delays.len() / 2).copied().unwrap_or_default();
    writeln!(
        out,
        "{kind:12}{:5} faults, found {:.3} ({:.3}), {:4} readings {:7} s; without Novel {:.3} ({:.3})",
        all.faults,
        share(all.found),
        share(all.noticed),
        delay / interval,
        delay / SECOND,
        share(certain.found),
        share(certain.noticed),
    )
}

/// A time between readings, in words.
pub fn every(interval: i64) -> String {
    match interval / SECOND {
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

/// What false incidents were taken for.
fn told(judgement: &Judgement) -> String {
    let parts = judgement.wrong.iter().map(|(kinds, count)| format!("{count} {kinds}"));
    parts.collect::<Vec<_>>().join(", ")
}
