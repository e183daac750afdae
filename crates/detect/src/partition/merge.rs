//! Partitions split and merged, as lanes are when their number changes.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::Partition;
use super::state::PartitionState;
use crate::producers::Producers;
use crate::track::Track;

impl Partition {
    /// Keeps the sensors whose hash lies in `slice`, and those derived from them. Drops the producers, whose numbers
    /// count another lane's records.
    pub fn restrict(&mut self, slice: &RangeInclusive<u128>) {
        let mut state = std::mem::take(&mut self.state);
        state.producers = Producers::default();
        let within = |track: &Option<Track>| track.as_ref().is_some_and(|track| slice.contains(&track.hash()));
        state.tracks.retain(within);
        *self = Self::of(state);
    }

    /// Merges partitions; the newer state of a sensor counts. Beyond the limit, the sensors silent for longest are
    /// dropped. Without producers: see [`restrict`](Self::restrict).
    pub fn merge(partitions: impl IntoIterator<Item = Self>) -> Self {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let mut state = PartitionState::default();
        for partition in &partitions {
            state.clock = state.clock.merge(&partition.state.clock);
        }
        let mut places = HashMap::<Box<str>, usize>::new();
        state.settings = partitions
            .last()
            .map(|partition| partition.state.settings.clone())
            .unwrap_or_default();
        for partition in partitions {
            let ahead = state.clock.now() - partition.state.clock.now();
            for mut track in partition.state.tracks.into_iter().flatten() {
                track.shift(ahead);
                if let Some(parent) = &mut track.parent {
                    parent.change(&partition.state.settings, &state.settings);
                }
                match places.get(track.sensor.id()) {
                    None => {
                        places.insert(track.sensor.id().into(), state.tracks.len());
                        state.tracks.push(Some(track));
                    }
                    Some(&place) => {
                        let known = &mut state.tracks[place];
                        if known.as_ref().and_then(Track::newest) < track.newest() {
                            *known = Some(track);
                        }
                    }
                }
            }
        }
        shrink(&mut state);
        Self::of(state)
    }
}

/// Drops the sensors silent for longest until the limit holds; those with an open incident last.
fn shrink(state: &mut PartitionState) {
    let limit = u64::from(state.settings.max_sensors_per_partition.get());
    let mut weight: u64 = state.tracks.iter().flatten().map(Track::weight).sum();
    let mut oldest: Vec<_> = (0..)
        .zip(&state.tracks)
        .filter_map(|(place, track)| track.as_ref().map(|track| (track.evictable(), track.heard(), place)))
        .collect();
    oldest.sort_unstable();
    for (_, _, place) in oldest {
        if weight <= limit {
            break;
        }
        let place: usize = place;
        weight -= state.tracks[place].take().map_or(0, |track| track.weight());
    }
    state.tracks.retain(Option::is_some);
}
