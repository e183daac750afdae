//! The places of sensors in a partition: who is admitted, evicted or removed.

use std::sync::Arc;

use wire::Sensor;

use super::Partition;
use crate::deadlines::NEVER;
use crate::journal::Journal;
use crate::track::Track;

impl Partition {
    /// The place of a `known` or a new sensor that weighs `more` than before. Evicts others as needed; `None` if the
    /// partition would still exceed its limit.
    ///
    /// It depends on settings in the state and the partition's clock only, not on how readings are cut into batches.
    pub(super) fn place(&mut self, known: Option<u32>, more: u64, journal: &mut Journal) -> Option<u32> {
        let more = more + u64::from(known.is_none());
        if more == 0 {
            return known;
        }
        let now = self.state.clock.now();
        let limit = self.limit();
        while self.weight + more > limit {
            let tracks = &self.state.tracks;
            let evictable = |index: u32| tracks[index as usize].as_ref().map_or(NEVER, Track::evictable);
            let Some(index) = self.evictable.next(now, evictable) else {
                break;
            };
            if known != Some(index) {
                journal.eviction(index);
                self.remove(index);
            }
        }
        if let Some(known) = known {
            // The loop may have taken its deadline.
            self.schedule(known);
        }
        (self.weight + more <= limit).then(|| known.unwrap_or_else(|| self.vacant()))
    }

    /// The highest weight of admitted sensors.
    pub(super) fn limit(&self) -> u64 {
        u64::from(self.state.settings.max_sensors_per_partition.get())
    }

    /// Forgets a sensor.
    pub(super) fn remove(&mut self, index: u32) {
        if let Some(track) = self.state.tracks[index as usize].take() {
            self.weight -= track.weight();
            self.index.remove(track.sensor.id());
            self.free.insert(index);
        }
        self.schedule(index);
    }

    /// Updates the deadlines of a sensor.
    pub(super) fn schedule(&mut self, index: u32) {
        let track = self.state.tracks[index as usize].as_ref();
        let deadline = |track: &Track| track.deadline(&self.state.settings, false);
        self.deadlines.set(index, track.map_or(NEVER, deadline));
        self.evictable.set(index, track.map_or(NEVER, Track::evictable));
    }

    /// The place of the next new sensor.
    pub(super) fn vacant(&self) -> u32 {
        self.free.first().copied().unwrap_or(self.state.tracks.len() as u32)
    }

    pub(super) fn describe(&mut self, index: u32, sensor: &Arc<Sensor>) {
        let place = index as usize;
        if place == self.state.tracks.len() {
            self.state.tracks.push(None);
        }
        match &mut self.state.tracks[place] {
            Some(track) => track.sensor = sensor.clone(),
            none => {
                let track = Track::new(sensor);
                self.weight += track.weight();
                *none = Some(track);
                self.index.insert(sensor.id().into(), index);
                self.free.remove(&index);
            }
        }
    }
}
