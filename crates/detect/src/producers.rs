//! High-water marks of producers, so that a record sent again is recognised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{Identity, ProducerId, Timestamp};

/// Producers silent for this long, by arrival, are forgotten, µs.
const FORGET_AFTER: i64 = 24 * 3_600_000_000;

/// Whether a record is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Its readings have to be folded.
    New,
    /// It was folded before: skip all of it.
    Repeated,
}

/// How far each producer has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Producers(BTreeMap<u64, Progress>);

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Progress {
    number: u64,
    arrival: i64,
}

impl Producers {
    pub fn advance(&mut self, identity: Identity, arrival: Timestamp) -> Advance {
        let Identity {
            producer: ProducerId(producer),
            number,
        } = identity;
        let arrival = arrival.as_micros();
        if self.0.get(&producer).is_some_and(|progress| number <= progress.number) {
            return Advance::Repeated;
        }
        self.0
            .retain(|_, progress| arrival.saturating_sub(progress.arrival) <= FORGET_AFTER);
        self.0.insert(producer, Progress { number, arrival });
        Advance::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::default().saturating_add_micros(hours * 3_600_000_000)
    }

    fn identity(producer: u64, number: u64) -> Identity {
        Identity {
            producer: ProducerId(producer),
            number,
        }
    }

    #[test]
    fn a_number_counts_once() {
        let mut producers = Producers::default();
        assert_eq!(producers.advance(identity(7, 1), at(0)), Advance::New);
        assert_eq!(producers.advance(identity(7, 1), at(0)), Advance::Repeated);
        assert_eq!(producers.advance(identity(7, 3), at(0)), Advance::New);
        assert_eq!(producers.advance(identity(7, 2), at(0)), Advance::Repeated);
        assert_eq!(producers.advance(identity(8, 1), at(0)), Advance::New);
    }

    #[test]
    fn a_producer_silent_for_a_day_is_forgotten() {
        let mut producers = Producers::default();
        producers.advance(identity(7, 5), at(0));
        producers.advance(identity(8, 1), at(24));
        assert_eq!(producers.advance(identity(7, 5), at(24)), Advance::Repeated);
        producers.advance(identity(8, 2), at(25));
        assert_eq!(producers.0.len(), 1);
        assert_eq!(producers.advance(identity(7, 5), at(25)), Advance::New);
    }
}
