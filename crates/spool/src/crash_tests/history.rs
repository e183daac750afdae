//! What the spool guaranteed for each record and since when, read from the workload's output.

use std::collections::{BTreeMap, BTreeSet};

use delivery::record::Record;

use super::super::tests::record;
use super::trace::Event;

/// The index of an event that never happens.
const NEVER: usize = usize::MAX;

pub(super) struct History {
    records: BTreeMap<u64, Course>,
    damages: Vec<Damage>,
    counts: BTreeMap<&'static str, u64>,
}

/// The fate of a record.
struct Course {
    put: Record,
    /// It may be in the spool from this event on.
    asked: usize,
    /// It must be.
    stored: usize,
    /// It need no longer be.
    leaving: usize,
    /// It must no longer be, unless damage brings it back.
    gone: usize,
}

struct Damage {
    done: usize,
    /// Salvaged and opened.
    over: usize,
}

impl History {
    pub fn of(events: &[Event]) -> Self {
        let names = [
            "stored",
            "refused",
            "dropped",
            "removed",
            "damaged",
            "truncated",
            "renamed",
        ];
        let mut history = Self {
            records: BTreeMap::new(),
            damages: Vec::new(),
            counts: names.map(|name| (name, 0)).into(),
        };
        let mut there: BTreeSet<u64> = BTreeSet::new();
        let mut held = BTreeSet::new();
        let (mut leaving, mut asked) = (Vec::new(), Vec::new());
        let (mut removing, mut appending) = (0, 0);
        for (index, event) in events.iter().enumerate() {
            let line = match event {
                Event::Said(line) => line,
                Event::Truncate { .. } => {
                    history.count("truncated", 1);
                    continue;
                }
                Event::Rename { .. } => {
                    history.count("renamed", 1);
                    continue;
                }
                _ => continue,
            };
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            if word == "record" {
                history.asked(rest, index);
                continue;
            }
            let numbers: Vec<u64> = rest.split_whitespace().map(|number| number.parse().unwrap()).collect();
            match word {
                "append" => (asked, appending) = (numbers, index),
                "stored" => {
                    for number in &asked {
                        let course = history.records.get_mut(number).unwrap();
                        if numbers.contains(number) {
                            course.stored = index;
                        } else {
                            course.asked = NEVER;
                        }
                    }
                    history.count("stored", numbers.len());
                    history.count("refused", asked.len() - numbers.len());
                    there.extend(&numbers);
                    // It was synced, and so was everything removed before it.
                    if !numbers.is_empty() {
                        history.gone(&mut leaving, index);
                    }
                }
                "dropped" => {
                    let count = usize::try_from(numbers[0]).unwrap();
                    let oldest: Vec<_> = there.difference(&held).copied().take(count).collect();
                    assert_eq!(oldest.len(), count, "only what is there and not held can be dropped");
                    for number in oldest {
                        there.remove(&number);
                        let course = history.records.get_mut(&number).unwrap();
                        (course.leaving, course.gone) = (appending, index);
                    }
                    history.count("dropped", count);
                }
                "held" => held.extend(numbers),
                "remove" => {
                    removing = index;
                    leaving.extend(numbers);
                }
                "removed" => {
                    for number in &leaving {
                        held.remove(number);
                        if there.remove(number) {
                            history.records.get_mut(number).unwrap().leaving = removing;
                            history.count("removed", 1);
                        }
                    }
                }
                "closed" => history.gone(&mut leaving, index),
                "damage" => {
                    history.damages.push(Damage {
                        done: index,
                        over: NEVER,
                    });
                    history.count("damaged", 1);
                    leaving.clear();
                }
                "opened" => {
                    held.clear();
                    let Some(damage) = history.damages.last_mut().filter(|damage| damage.over == NEVER) else {
                        continue;
                    };
                    damage.over = index;
                    let salvaged = numbers.into_iter().collect();
                    for number in there.difference(&salvaged) {
                        let course = history.records.get_mut(number).unwrap();
                        course.leaving = course.leaving.min(damage.done);
                    }
                    there = salvaged;
                }
                word => panic!("the workload says {word:?}"),
            }
        }
        history
    }

    fn asked(&mut self, words: &str, index: usize) {
        let words: Vec<_> = words.split(' ').collect();
        let number = words[0].parse().unwrap();
        let course = Course {
            put: record(words[1], words[2].parse().unwrap(), number, words[3].parse().unwrap()),
            asked: index,
            stored: NEVER,
            leaving: NEVER,
            gone: NEVER,
        };
        self.records.insert(number, course);
    }

    fn gone(&mut self, numbers: &mut Vec<u64>, index: usize) {
        for number in numbers.drain(..) {
            let course = self.records.get_mut(&number).unwrap();
            course.gone = course.gone.min(index);
        }
    }

    fn count(&mut self, what: &'static str, times: usize) {
        *self.counts.get_mut(what).unwrap() += times as u64;
    }

    /// How often each thing happened.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(what, times)| (*what, *times))
    }

    /// Number of acknowledged records.
    pub fn promised(&self) -> usize {
        self.records.values().filter(|course| course.stored < NEVER).count()
    }

    /// Whether the database may be damaged after this many events, and whether it was damaged before and is now
    /// salvaged.
    pub fn damage(&self, point: usize) -> (bool, bool) {
        let now = self
            .damages
            .iter()
            .any(|damage| damage.done < point && point <= damage.over);
        (now, self.damages.iter().any(|damage| damage.over < point))
    }

    /// Fails if a record that is in the spool after this many events should not be.
    pub fn expect(&self, found: &Record, point: usize) {
        let number = found.identity.number;
        let course = self
            .records
            .get(&number)
            .unwrap_or_else(|| panic!("{number} was never appended"));
        let put = &course.put;
        assert_eq!((&found.lane, found.identity), (&put.lane, put.identity));
        assert!(found.data == put.data, "{number} has other bytes");
        assert!(course.asked < point, "{number} was not yet appended, or was refused");
        let brought_back = self
            .damages
            .iter()
            .any(|damage| course.gone < damage.done && damage.done < point);
        assert!(
            course.gone >= point || brought_back,
            "{number} was removed, and that was synced"
        );
    }

    /// The numbers of the records that must be in a lane after this many events.
    pub fn required(&self, lane: &str, point: usize) -> impl Iterator<Item = u64> {
        let required = self.records.iter().filter(move |(_, course)| {
            &*course.put.lane.name == lane && course.stored < point && course.leaving >= point
        });
        required.map(|(number, _)| *number)
    }
}
