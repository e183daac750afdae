use std::collections::{BTreeMap, HashMap};

use detect::Kinds;

use crate::run::{Alarm, Fault};

/// So many readings after a fault an incident still belongs to it: its way back, and what averages remember of it. The shortest
/// fault that lasts is as long.
pub const GRACE: i64 = 60;

/// What was told of a set of kinds, against the truth.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    /// By kind of fault.
    pub recalls: BTreeMap<&'static str, Recall>,
    pub incidents: usize,
    /// Opened while nothing was wrong, with what was told.
    pub wrong: BTreeMap<String, usize>,
}

/// What was found of a kind of fault.
#[derive(Clone, Debug, Default)]
pub struct Recall {
    pub faults: usize,
    /// Between its first reading and its last.
    pub found: usize,
    /// Or within the grace after it.
    pub noticed: usize,
    /// From its first reading to the first alarm, µs.
    pub delays: Vec<i64>,
}

impl Judgement {
    /// Of alarms of these kinds only; faults that outlast `end` do not count.
    pub fn of(faults: &[Fault], alarms: &[Alarm], kinds: Kinds, interval: i64, end: i64) -> Self {
        let mut judgement = Self::default();
        let mut spans = HashMap::<u32, Vec<&Fault>>::new();
        for fault in faults {
            spans.entry(fault.sensor).or_default().push(fault);
        }
        let mut times = HashMap::<u32, Vec<i64>>::new();
        let mut incidents = HashMap::<(u32, i64), &Alarm>::new();
        for alarm in alarms.iter().filter(|alarm| alarm.kinds.overlaps(kinds)) {
            times.entry(alarm.sensor).or_default().push(alarm.time);
            incidents.entry((alarm.sensor, alarm.incident)).or_insert(alarm);
        }
        let grace = GRACE * interval;
        for fault in faults.iter().filter(|fault| fault.end + grace < end) {
            let times = times.get(&fault.sensor).map_or(&[][..], Vec::as_slice);
            let first = times.get(times.partition_point(|time| *time < fault.start));
            let recall = judgement.recalls.entry(fault.kind).or_default();
            recall.faults += 1;
            if let Some(time) = first.filter(|time| **time <= fault.end + grace) {
                recall.noticed += 1;
                if *time <= fault.end {
                    recall.found += 1;
                    recall.delays.push(time - fault.start);
                }
            }
        }
        judgement.incidents = incidents.len();
        for alarm in incidents.values() {
            let spans = spans.get(&alarm.sensor).map_or(&[][..], Vec::as_slice);
            let before = spans.partition_point(|fault| fault.start <= alarm.time);
            if before == 0 || alarm.time > spans[before - 1].end + grace {
                let told = alarm.kinds.names("").collect::<Vec<_>>().join("+");
                *judgement.wrong.entry(told).or_default() += 1;
            }
        }
        judgement
    }

    pub fn wrong(&self) -> usize {
        self.wrong.values().sum()
    }

    /// All kinds of fault together.
    pub fn recall(&self) -> Recall {
        let mut all = Recall::default();
        for recall in self.recalls.values() {
            all.faults += recall.faults;
            all.found += recall.found;
            all.noticed += recall.noticed;
            all.delays.extend_from_slice(&recall.delays);
        }
        all
    }
}
