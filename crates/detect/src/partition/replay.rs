//! Replays a journal onto the state it follows.

use wire::{Reading, Timestamp};

use super::Partition;
use crate::derived::Parent;
use crate::journal::{self, Operation, Operations};
use crate::stored::StateError;

impl Partition {
    /// Replays a [`Journal`](crate::Journal), which must be the one that follows this state. It causes no events: they
    /// were recorded when it was written. After an error the partition is inconsistent and must be dropped.
    pub fn replay(&mut self, journal: &[u8]) -> Result<(), StateError> {
        let mut events = Vec::new();
        self.derived.clear();
        for operation in Operations::of(journal)? {
            match operation? {
                Operation::Settings(settings) => self.change(settings),
                Operation::Producer(identity, arrival) => {
                    self.state.producers.advance(identity, arrival);
                }
                Operation::Sensor(index, sensor) => {
                    let free = index as usize == self.state.tracks.len() || self.free.contains(&index);
                    let known = self.index.get(sensor.id()).copied();
                    if known.map_or(!free, |known| known != index) {
                        let problem = format!("sensor {:?} cannot be at {index}", sensor.id());
                        return Err(journal::damaged(problem));
                    }
                    self.describe(index, &sensor);
                }
                Operation::Eviction(index) => {
                    let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
                    track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    self.remove(index);
                }
                Operation::Reading { index, step, value } => {
                    let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
                    let track = track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    let previous = track.time().unwrap_or_default().as_micros();
                    let time = previous.checked_add(step).and_then(Timestamp::from_micros);
                    let time = time.filter(|time| track.time().is_none_or(|previous| *time > previous));
                    let time = time.ok_or_else(|| journal::damaged(format!("sensor {index} has no such time")))?;
                    let reading = Reading::new(track.sensor.clone(), time, value).map_err(journal::damaged)?;
                    self.apply(index, time, reading.value(), &mut events);
                }
                Operation::Event { index, step, digest } => {
                    let track = self.state.tracks.get(index as usize).and_then(Option::as_ref);
                    let track = track.ok_or_else(|| journal::damaged(format!("sensor {index} is not known")))?;
                    let previous = track.parent.as_deref().map_or(0, Parent::latest);
                    let time = previous.checked_add(step).and_then(Timestamp::from_micros);
                    let time = time.ok_or_else(|| journal::damaged(format!("sensor {index} has no such time")))?;
                    self.take(index, time.as_micros(), &digest, &mut events);
                }
            }
            events.clear();
            self.derived.clear();
        }
        Ok(())
    }
}
