//! What fails together is one message: which incidents of a group of sensors belong together, and what people hear of
//! them. Pure: a store keeps it, whoever tells has claimed it.
//!
//! Incidents of a group that begin within `WINDOW` of each other, by event time, are an *episode*. An episode is told
//! when it begins, whenever twice as many of its sensors fail at once as was told, when its worst score has doubled or
//! something else goes wrong, and once when the last of them is well. While an episode has had one sensor only, that
//! one's own moments are told.

use detect::{Change, Kinds, Transition};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

use crate::encoding;
use crate::incident_id::IncidentId;
use crate::store_error::StoreError;
use crate::text::{MAX_NAME, cut, printable};
use crate::words;

/// Incidents that begin within so many microseconds of event time are one episode.
pub const WINDOW: i64 = 5 * 60 * 1_000_000;

/// How many sensors a message names, the worst ones.
pub const NAMED: usize = 5;

/// The most characters of what is said of a sensor.
const MAX_WORDS: usize = 100;

/// A store may keep 400 KB of a group: so many incidents in an episode, the next begins another; and so many episodes,
/// of which the oldest is forgotten.
const MAX_MEMBERS: usize = 2_000;
const MAX_EPISODES: usize = 16;

/// So many of the episodes that are over are kept, for what is delivered again after a crash.
const KEPT: usize = 4;

/// The episodes of one group of sensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group(Vec<Episode>);

/// Incidents that belong together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Episode {
    /// When the first and when the last of its incidents began, µs.
    first: i64,
    last: i64,
    /// When it changed last, µs.
    changed: i64,
    members: Vec<Member>,
    /// The worst first.
    named: Vec<Named>,
    /// What its sensors measure, where that is the same.
    kind: Option<String>,
    kinds: Kinds,
    peak: f64,
    /// The most that failed at once since people were told.
    most: u32,
    told: Told,
}

/// What people have heard of an episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Told {
    /// So many fail at once; 0 where nobody has heard of it.
    failing: u32,
    kinds: Kinds,
    peak: f64,
    over: bool,
}

/// One incident of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    incident: IncidentId,
    /// Of the last transition taken in.
    number: u32,
    open: bool,
}

/// A sensor that a message names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Its incident.
    pub incident: IncidentId,
    /// Its id, without what would steer a terminal.
    pub sensor: String,
    /// What was wrong at its worst.
    pub words: String,
    /// The highest score so far.
    pub score: f64,
}

/// What people hear of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What changed: more fail, it got worse, all are well.
    pub change: Change,
    /// How many fail; where all are well, how many incidents it was.
    pub sensors: u32,
    /// When the first of them began.
    pub since: Timestamp,
    /// When the last of them changed.
    pub time: Timestamp,
    /// What its sensors measure, where that is the same.
    pub kind: Option<String>,
    /// All that has been wrong.
    pub kinds: Kinds,
    /// The highest score.
    pub peak: f64,
    /// The worst of those it is about, at most [`NAMED`].
    pub named: Vec<Named>,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Telling<'a> {
    /// Of one sensor.
    One(&'a Transition),
    /// Of several.
    Several(Report),
}

impl Group {
    /// Takes moments of its sensors in, muted ones marked so; says what is to be told of them, and counts it as told. What
    /// it has taken in before changes nothing and tells nothing.
    pub fn take<'a>(&mut self, moments: &[(&'a Transition, bool)]) -> Vec<Telling<'a>> {
        let mut moments = moments.to_vec();
        // Pages come one after the other, each with all it has: what was at once is brought together again.
        moments.sort_by_key(|(transition, _)| transition.time);
        let mut tellings = Vec::new();
        let mut touched: Vec<(usize, Vec<&Transition>)> = Vec::new();
        for (transition, muted) in moments {
            match self.place(transition, muted) {
                // An incident that nobody knows to belong to an episode is told by itself.
                None if muted => {}
                None => tellings.push(Telling::One(transition)),
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
        for (place, moments) in touched {
            let episode = &mut self.0[place];
            if episode.members.len() == 1 {
                tellings.extend(moments.into_iter().map(Telling::One));
                episode.count_as_told();
            } else {
                tellings.extend(episode.reports().into_iter().map(Telling::Several));
            }
        }
        self.forget();
        tellings
    }

    /// For [`decode`](Self::decode).
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(self)
    }

    /// What [`encode`](Self::encode) wrote of the group of this name.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, StoreError> {
        encoding::decode(bytes, || format!("group {name}"))
    }

    /// The episode a transition belongs to, where there is one or it begins one. Who is muted begins none and joins none.
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
            told: Told::default(),
        }
    }

    fn member(&self, incident: IncidentId) -> Option<usize> {
        self.members.iter().position(|member| member.incident == incident)
    }

    /// How many fail now.
    fn failing(&self) -> u32 {
        self.members.iter().filter(|member| member.open).count() as u32
    }

    fn can_be_joined(&self, since: i64) -> bool {
        let near = self.first.saturating_sub(WINDOW)..=self.last.saturating_add(WINDOW);
        near.contains(&since) && self.members.len() < MAX_MEMBERS && self.failing() > 0
    }

    /// Takes a moment in; false where it has done so before.
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
            // How bad it was is no news when it is over.
            self.told.kinds |= transition.kinds;
            self.told.peak = self.told.peak.max(transition.peak);
        }
        true
    }

    /// The worst have a name.
    fn name(&mut self, incident: IncidentId, transition: &Transition) {
        self.named.retain(|named| named.incident != incident);
        let behind = self.named.partition_point(|named| named.score >= transition.peak);
        if behind < NAMED {
            let words = words::at_worst(transition).swap_remove(0);
            let named = Named {
                incident,
                sensor: printable(transition.sensor.id()),
                words: cut(&words, MAX_WORDS),
                score: transition.peak,
            };
            self.named.insert(behind, named);
            self.named.truncate(NAMED);
        }
    }

    /// What is to be told of several.
    fn reports(&mut self) -> Vec<Report> {
        let failing = self.failing();
        let told = self.told;
        let worse = self.peak >= 2.0 * told.peak || !told.kinds.contains(self.kinds);
        let changed = if self.most >= 2 * told.failing {
            Some(Change::Opened)
        } else {
            (worse && failing > 0).then_some(Change::Worsened)
        };
        let over = (failing == 0 && !told.over).then_some(Change::Resolved);
        let changes = changed.into_iter().chain(over);
        let reports: Vec<Report> = changes.map(|change| self.report(change, failing)).collect();
        if !reports.is_empty() {
            self.count_as_told();
        }
        reports
    }

    fn report(&self, change: Change, failing: u32) -> Report {
        let instant = |micros| Timestamp::from_micros(micros).unwrap_or_default();
        // Who is well is no longer among the worst, unless all are.
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

    fn count_as_told(&mut self) {
        let failing = self.failing();
        self.told = Told {
            failing: self.told.failing.max(self.most),
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
#[path = "group_tests.rs"]
mod tests;
