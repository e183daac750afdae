//! One message for what fails together: which incidents of a group of sensors belong together, and when to notify
//! people. Pure: a store keeps it under a lease.
//!
//! Incidents of a group that begin within `WINDOW` of each other, by event time, are an *episode*. People are
//! notified when it begins, when twice as many of its sensors fail at once as last reported, when its worst score has
//! doubled, when something else goes wrong, and once when all are well. While an episode has had a single sensor, the
//! sensor's own transitions are notified.

use detect::{Change, Kinds, Transition};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

use crate::encoding;
use crate::incident_id::IncidentId;
use crate::message::description;
use crate::message::group::{MAX_NAMED, Named, Report};
use crate::message::text::{MAX_NAME, cut, printable};
use crate::store_error::StoreError;

/// Incidents that begin within this time of each other are one episode, µs of event time.
pub const WINDOW: i64 = 5 * 60 * 1_000_000;

/// Longest description of a sensor, in characters.
const MAX_WORDS: usize = 100;

/// A store may keep 400 KB of a group. Beyond this many incidents another episode begins; beyond this many episodes the
/// oldest is forgotten.
const MAX_MEMBERS: usize = 2_000;
const MAX_EPISODES: usize = 16;

/// Finished episodes that are kept, to recognise events that are delivered again after a crash.
const KEPT: usize = 4;

/// The episodes of one group of sensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group(Vec<Episode>);

/// Incidents that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Episode {
    /// When its first and its last incident began, µs.
    first: i64,
    last: i64,
    /// When it last changed, µs.
    changed: i64,
    members: Vec<Member>,
    /// Worst first.
    named: Vec<Named>,
    /// What its sensors measure, if all measure the same.
    kind: Option<String>,
    kinds: Kinds,
    peak: f64,
    /// The most sensors that failed at once since people were notified.
    most: u32,
    notified: Notified,
}

/// What people know about an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Notified {
    /// Sensors failing at once; 0 before the first notification.
    failing: u32,
    kinds: Kinds,
    peak: f64,
    over: bool,
}

/// One incident of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    incident: IncidentId,
    /// Number of the last transition taken in.
    number: u32,
    open: bool,
}

/// What to notify people about.
#[derive(Clone, Debug, PartialEq)]
pub enum Notification<'a> {
    /// One sensor.
    Sensor(&'a Transition),
    /// Several sensors of the group.
    Group(Report),
}

impl Group {
    /// Takes in transitions of its sensors, each with whether it is muted. Returns the notifications due, and counts
    /// them as sent. A transition taken in before changes nothing.
    pub fn take<'a>(&mut self, transitions: &[(&'a Transition, bool)]) -> Vec<Notification<'a>> {
        let mut transitions = transitions.to_vec();
        // Partitions arrive one after the other, each with all its transitions: restore the order in time.
        transitions.sort_by_key(|(transition, _)| transition.time);
        let mut notifications = Vec::new();
        let mut touched: Vec<(usize, Vec<&Transition>)> = Vec::new();
        for (transition, muted) in transitions {
            match self.place(transition, muted) {
                // An incident of no known episode is notified by itself.
                None if muted => {}
                None => notifications.push(Notification::Sensor(transition)),
                Some(place) => {
                    if self.0[place].take(transition, muted) {
                        let at = touched.iter().position(|(known, _)| *known == place);
                        let at = at.unwrap_or_else(|| {
                            touched.push((place, Vec::new()));
                            touched.len() - 1
                        });
                        touched[at].1.extend((!muted).then_some(transition));
                    }
                }
            }
        }
        for (place, transitions) in touched {
            let episode = &mut self.0[place];
            if episode.members.len() == 1 {
                notifications.extend(transitions.into_iter().map(Notification::Sensor));
                episode.mark_notified();
            } else {
                notifications.extend(episode.reports().into_iter().map(Notification::Group));
            }
        }
        self.forget();
        notifications
    }

    /// Encodes the group.
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(self)
    }

    /// Decodes the group of this name.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, StoreError> {
        encoding::decode(bytes, || format!("group {name}"))
    }

    /// The episode a transition belongs to; may begin one. A muted sensor neither begins nor joins an episode.
    fn place(&mut self, transition: &Transition, muted: bool) -> Option<usize> {
        let incident = IncidentId::of(&transition.sensor, transition.since);
        let known = self.0.iter().position(|episode| episode.member(incident).is_some());
        if known.is_some() || muted || transition.change != Change::Opened {
            return known;
        }
        let since = transition.since.as_micros();
        let joined = self.0.iter().rposition(|episode| episode.can_be_joined(since));
        joined.or_else(|| {
            self.0.push(Episode::new(since));
            Some(self.0.len() - 1)
        })
    }

    fn forget(&mut self) {
        let over = self.0.iter().filter(|episode| episode.failing() == 0).count();
        let mut leave = over.saturating_sub(KEPT);
        self.0.retain(|episode| {
            let goes = leave > 0 && episode.failing() == 0;
            leave -= usize::from(goes);
            !goes
        });
        self.0.drain(..self.0.len().saturating_sub(MAX_EPISODES));
    }
}

impl Episode {
    fn new(since: i64) -> Self {
        Self {
            first: since,
            last: since,
            changed: since,
            members: Vec::new(),
            named: Vec::new(),
            kind: None,
            kinds: Kinds::NONE,
            peak: 0.0,
            most: 0,
            notified: Notified::default(),
        }
    }

    fn member(&self, incident: IncidentId) -> Option<usize> {
        self.members.iter().position(|member| member.incident == incident)
    }

    /// Sensors failing now.
    fn failing(&self) -> u32 {
        self.members.iter().filter(|member| member.open).count() as u32
    }

    fn can_be_joined(&self, since: i64) -> bool {
        let near = self.first.saturating_sub(WINDOW)..=self.last.saturating_add(WINDOW);
        near.contains(&since) && self.members.len() < MAX_MEMBERS && self.failing() > 0
    }

    /// Takes in a transition; false if that was done before.
    fn take(&mut self, transition: &Transition, muted: bool) -> bool {
        let incident = IncidentId::of(&transition.sensor, transition.since);
        let open = transition.change != Change::Resolved;
        let number = transition.number;
        match self.member(incident) {
            Some(place) if self.members[place].number >= number => return false,
            Some(place) => self.members[place] = Member { incident, number, open },
            None => {
                let kind = Some(cut(&printable(transition.sensor.kind()), MAX_NAME));
                if self.members.is_empty() {
                    self.kind = kind;
                } else if self.kind != kind {
                    self.kind = None;
                }
                self.members.push(Member { incident, number, open });
                self.first = self.first.min(transition.since.as_micros());
                self.last = self.last.max(transition.since.as_micros());
            }
        }
        self.changed = self.changed.max(transition.time.as_micros());
        self.most = self.most.max(self.failing());
        if !muted {
            self.kinds |= transition.kinds;
            self.peak = self.peak.max(transition.peak);
            self.name(incident, transition);
        }
        if !open {
            // Once it is over, how bad it was is no news.
            self.notified.kinds |= transition.kinds;
            self.notified.peak = self.notified.peak.max(transition.peak);
        }
        true
    }

    /// Keeps the worst sensors by name.
    fn name(&mut self, incident: IncidentId, transition: &Transition) {
        self.named.retain(|named| named.incident != incident);
        let behind = self.named.partition_point(|named| named.score >= transition.peak);
        if behind < MAX_NAMED {
            let words = description::at_worst(transition).swap_remove(0);
            let named = Named {
                incident,
                sensor: printable(transition.sensor.id()),
                words: cut(&words, MAX_WORDS),
                score: transition.peak,
            };
            self.named.insert(behind, named);
            self.named.truncate(MAX_NAMED);
        }
    }

    /// The reports due on several sensors.
    fn reports(&mut self) -> Vec<Report> {
        let failing = self.failing();
        let known = self.notified;
        let worse = self.peak >= 2.0 * known.peak || !known.kinds.contains(self.kinds);
        let changed = if self.most >= 2 * known.failing {
            Some(Change::Opened)
        } else {
            (worse && failing > 0).then_some(Change::Worsened)
        };
        let over = (failing == 0 && !known.over).then_some(Change::Resolved);
        let changes = changed.into_iter().chain(over);
        let reports: Vec<Report> = changes.map(|change| self.report(change, failing)).collect();
        if !reports.is_empty() {
            self.mark_notified();
        }
        reports
    }

    fn report(&self, change: Change, failing: u32) -> Report {
        let instant = |micros| Timestamp::from_micros(micros).unwrap_or_default();
        // A recovered sensor is not among the worst, unless all have recovered.
        let fails = |named: &&Named| {
            let member = self.member(named.incident).map(|place| self.members[place]);
            failing == 0 || member.is_some_and(|member| member.open)
        };
        Report {
            change,
            sensors: match change {
                Change::Opened => self.most,
                Change::Worsened => failing,
                Change::Resolved => self.members.len() as u32,
            },
            since: instant(self.first),
            time: instant(self.changed),
            kind: self.kind.clone(),
            kinds: self.kinds,
            peak: self.peak,
            named: self.named.iter().filter(fails).cloned().collect(),
        }
    }

    fn mark_notified(&mut self) {
        let failing = self.failing();
        self.notified = Notified {
            failing: self.notified.failing.max(self.most),
            kinds: self.kinds,
            peak: self.peak,
            over: failing == 0,
        };
        self.most = failing;
        if failing == 0 {
            self.named.clear();
        }
    }
}

#[cfg(test)]
#[path = "episodes_tests.rs"]
mod tests;
