//! The stored part of a partition, and its format: a version, the state, a digest.

use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::clock::Clock;
use crate::producers::Producers;
use crate::stored::{self, StateError};
use crate::track::Track;

const WHAT: &str = "partition";
const VERSION: u8 = 4;

/// The state; the rest of a partition follows from it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct PartitionState {
    pub settings: Settings,
    pub clock: Clock,
    pub producers: Producers,
    pub tracks: Vec<Option<Track>>,
}

impl PartitionState {
    /// Encodes the state.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = postcard::to_extend(self, vec![VERSION]).expect("state has no form postcard lacks");
        stored::seal(&mut bytes);
        bytes
    }

    /// Decodes a state; refused before it takes more memory than sensors of `most_weight`.
    pub fn decode(bytes: &[u8], most_weight: u64) -> Result<Self, StateError> {
        stored::versioned(WHAT, bytes, VERSION)?;
        let body = stored::unseal(WHAT, bytes)?;
        let rest = &mut &body[1..];
        let (settings, clock, producers) = (next(rest)?, next(rest)?, next(rest)?);
        let places: u64 = next(rest)?;
        let too_large = |weight| StateError::TooLarge {
            what: WHAT,
            weight,
            most: most_weight,
        };
        // Free places take as much memory as sensors.
        if places > most_weight {
            return Err(too_large(places));
        }
        let mut tracks = Vec::with_capacity((places as usize).min(rest.len()));
        let mut weight = 0;
        for _ in 0..places {
            let track: Option<Track> = next(rest)?;
            weight += track.as_ref().map_or(0, Track::weight);
            if weight > most_weight {
                return Err(too_large(weight));
            }
            tracks.push(track);
        }
        if !rest.is_empty() {
            return Err(StateError::damaged(WHAT, "something follows its last sensor"));
        }
        Ok(Self {
            settings,
            clock,
            producers,
            tracks,
        })
    }
}

fn next<'a, T: Deserialize<'a>>(rest: &mut &'a [u8]) -> Result<T, StateError> {
    let (item, after) = postcard::take_from_bytes(rest).map_err(|error| StateError::damaged(WHAT, error))?;
    *rest = after;
    Ok(item)
}
