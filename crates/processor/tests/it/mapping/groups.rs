//! What fails together, through faults, crashes, deliveries at once and partitions out of step: few messages, nothing
//! pending.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use detect::{Change, Event, Kinds, Transition, Worst};
use processor::Message;
use processor::alert::deliver;
use processor::message::Attribute;
use wire::{Sensor, Value};

use super::publisher::Publisher;
use super::random::Random;
use super::store::{FaultRate, Sandbox, Shared};
use super::stream::at;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const SEEDS: u64 = 400;

/// Entries of the partitions of one shard of the table's stream, and how many of them are done with.
struct Shard {
    entries: Vec<Vec<Event>>,
    done: usize,
}

/// A delivery under way; what it was given, and whether its answer counts.
struct Delivery {
    crashed: Arc<AtomicBool>,
    shard: usize,
    counts: bool,
    run: Pin<Box<dyn Future<Output = usize>>>,
}

struct World {
    random: Random,
    shared: Arc<Mutex<Shared>>,
    faults: FaultRate,
    shards: Vec<Shard>,
    running: Vec<Delivery>,
}

impl World {
    fn new(random: Random, faults: FaultRate, shards: usize) -> Self {
        let shard = |_| Shard {
            entries: Vec::new(),
            done: 0,
        };
        Self {
            random,
            shared: Arc::default(),
            faults,
            shards: (0..shards).map(shard).collect(),
            running: Vec::new(),
        }
    }

    /// Puts transitions into the streams, those of a sensor always into the same, in the order given.
    fn put(&mut self, transitions: Vec<Transition>) {
        let shards = self.shards.len();
        for transition in transitions {
            let shard = &mut self.shards[transition.sensor.hash() as usize % shards];
            let event = Event::Incident(transition);
            let joins = shard.done < shard.entries.len() && self.random.percent(40);
            match shard.entries.last_mut() {
                Some(entry) if joins => entry.push(event),
                _ => shard.entries.push(vec![event]),
            }
        }
    }

    /// Until everything is delivered.
    fn drain(&mut self) {
        while self.running.iter().any(|delivery| delivery.counts)
            || self.shards.iter().any(|shard| shard.done < shard.entries.len())
        {
            let shard = self.random.below(self.shards.len());
            let idle = !self
                .running
                .iter()
                .any(|delivery| delivery.counts && delivery.shard == shard);
            if idle && self.shards[shard].done < self.shards[shard].entries.len() {
                self.start(shard, true);
                // The same at once; nobody waits for its answer.
                if self.random.percent(30) {
                    self.start(shard, false);
                }
            }
            for _ in 0..self.random.below(12) {
                self.poll();
            }
        }
        while !self.running.is_empty() {
            self.poll();
        }
    }

    fn start(&mut self, shard: usize, counts: bool) {
        let Shard { entries, done } = &self.shards[shard];
        let until = entries.len().min(done + 1 + self.random.below(8));
        let (from, batch) = (*done, entries[*done..until].to_vec());
        let (mut outbox, crashed) = Sandbox::new(&self.shared, self.random.fork(), self.faults);
        let (mut notifier, _) = Sandbox::new(&self.shared, self.random.fork(), self.faults);
        notifier.dies_with(&crashed);
        let mut notifier = Publisher(notifier);
        self.running.push(Delivery {
            crashed,
            shard,
            counts,
            run: Box::pin(async move {
                let (_, undelivered) = deliver(&mut outbox, &mut notifier, &batch, at(0)).await;
                undelivered.map_or(until, |undelivered| from + undelivered.entry)
            }),
        });
    }

    fn poll(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let which = self.random.below(self.running.len());
        let delivery = &mut self.running[which];
        let answer = delivery.run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let ended = answer.is_ready() || delivery.crashed.load(Ordering::Relaxed);
        if let (Poll::Ready(done), true) = (answer, delivery.counts) {
            let shard = &mut self.shards[delivery.shard];
            shard.done = shard.done.max(done);
        }
        if ended {
            // Its claims end in time.
            self.running.swap_remove(which).crashed.store(true, Ordering::Relaxed);
        }
    }
}

fn moment(sensor: usize, group: &str, since: i64, number: u32, change: Change, time: i64) -> Transition {
    let id = format!("{group}-{sensor}");
    Transition {
        sensor: Arc::new(Sensor::new(&id, "temperature").with_group(group)),
        since: at(since),
        number,
        change,
        kinds: Kinds::NOVEL,
        now: Kinds::NOVEL,
        value: Value::Scalar(1.0),
        expected: None,
        lasting: None,
        peak: 2.0,
        worst: Worst {
            time: at(since),
            kinds: Kinds::NOVEL,
            value: Value::Scalar(1.0),
            expected: None,
            lasting: None,
        },
        anomalies: 1,
        time: at(time),
    }
}

/// Messages of a group by what changed.
fn told(shared: &Shared, group: &str) -> BTreeMap<&'static str, Vec<Message>> {
    let mut told: BTreeMap<&'static str, Vec<Message>> = BTreeMap::new();
    let of_group = ("group", Attribute::Text(group.to_owned()));
    for message in shared
        .told
        .iter()
        .filter(|message| message.attributes.contains(&of_group))
    {
        told.entry(message.change.name()).or_default().push(message.clone());
    }
    told
}

/// Every moment that was put is marked as told.
fn check_all_told(seed: u64, world: &World) {
    let shared = world.shared.lock().unwrap();
    for event in world.shards.iter().flat_map(|shard| shard.entries.iter().flatten()) {
        let Event::Incident(transition) = event else { continue };
        let key = (transition.sensor.id().to_owned(), transition.since);
        let (_, told) = shared.incidents[&key];
        assert!(
            told >= transition.number,
            "seed {seed}: pending: {key:?} {}",
            transition.number
        );
    }
}

/// All sensors of a group begin to fail within a few minutes; when all have been heard of, all become well.
#[test]
fn an_episode_is_told_a_few_times_and_its_end_once() {
    let (mut messages, mut repeated) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let faults = FaultRate {
            errors: random.below(6) as u64,
            crashes: random.below(4) as u64,
        };
        let shards = 1 + random.below(4);
        let mut world = World::new(random.fork(), faults, shards);
        let groups = ["hall", "cellar"].map(|group| (group, 1 + random.below(40)));
        let mut began = Vec::new();
        for (group, sensors) in groups {
            for sensor in 0..sensors {
                began.push((group, sensor, random.below(4 * 60) as i64 * SECOND));
            }
        }
        began.sort_by_key(|(_, sensor, since)| (*since, *sensor));
        let opened = began
            .iter()
            .map(|(group, sensor, since)| moment(*sensor, group, *since, 1, Change::Opened, *since));
        world.put(opened.collect());
        world.drain();
        let over = |since: i64, sensor: usize| since + (15 + sensor as i64) * MINUTE;
        let resolved = began
            .iter()
            .map(|(group, sensor, since)| moment(*sensor, group, *since, 2, Change::Resolved, over(*since, *sensor)));
        world.put(resolved.collect());
        world.drain();
        check_all_told(seed, &world);
        let shared = world.shared.lock().unwrap();
        for (group, sensors) in groups {
            let told = told(&shared, group);
            let repeatable = shared.groups[group].repeatable;
            let count = |change: &str| told.get(change).map_or(0, Vec::len);
            let most = 1 + sensors.ilog2() as usize;
            let opened = count("opened");
            assert!(
                (1..=most + repeatable).contains(&opened),
                "seed {seed}: {opened} messages of {sensors} sensors in {group}, {repeatable} repeatable"
            );
            assert!(
                (1..=1 + repeatable).contains(&count("resolved")),
                "seed {seed}: {} ends in {group}, {repeatable} repeatable",
                count("resolved")
            );
            assert_eq!(count("worsened"), 0, "seed {seed}");
            if sensors > 1 {
                let all = format!("Resolved: all {sensors} incidents in {group}");
                let last = &told["resolved"].last().unwrap().subject;
                assert!(last.starts_with(&all), "seed {seed}: {last}");
            }
            messages += opened;
            repeated += repeatable;
        }
    }
    assert!(messages > 1_000 && repeated > 20, "{messages} {repeated}");
}

/// Whatever happens to whom and when, partitions hours behind others included. Without faults no message comes twice,
/// and what is told as failing is told as well, once.
#[test]
fn nothing_is_untold_and_every_beginning_has_an_end() {
    let (mut messages, mut together) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let mut faults = FaultRate::default();
        if random.percent(50) {
            faults.errors = random.below(6) as u64;
            faults.crashes = random.below(4) as u64;
        }
        let mut world = World::new(random.fork(), faults, 1 + random.below(4));
        let muted = random.percent(30);
        if muted {
            world.shared.lock().unwrap().muted.insert("hall-0".to_owned());
        }
        let mut all = Vec::new();
        for sensor in 0..1 + random.below(12) {
            let mut time = 0;
            for _ in 0..1 + random.below(4) {
                time += random.below(40) as i64 * MINUTE + 1;
                let since = time;
                all.push(moment(sensor, "hall", since, 1, Change::Opened, time));
                time += random.below(40) as i64 * MINUTE + 1;
                all.push(moment(sensor, "hall", since, 2, Change::Resolved, time));
            }
        }
        // In order, or sensor after sensor.
        if random.percent(70) {
            all.sort_by_key(|one| one.time);
        }
        let loud = all.iter().filter(|one| !muted || one.sensor.id() != "hall-0").count() / 2;
        world.put(all);
        world.drain();
        check_all_told(seed, &world);
        let shared = world.shared.lock().unwrap();
        let told = told(&shared, "hall");
        let of = |change: &str| told.get(change).map_or(&[][..], Vec::as_slice);
        assert_eq!(of("opened").is_empty(), loud == 0, "seed {seed}");
        assert_eq!(of("resolved").is_empty(), loud == 0, "seed {seed}");
        if muted {
            let mute = ("sensor", Attribute::Text("hall-0".to_owned()));
            let mut all = told.values().flatten();
            assert!(
                all.all(|message| !message.attributes.contains(&mute)),
                "seed {seed}: muted"
            );
        }
        if faults.errors + faults.crashes > 0 {
            continue;
        }
        assert!(
            of("opened").len() <= loud && of("resolved").len() <= of("opened").len(),
            "seed {seed}"
        );
        let texts: BTreeSet<&String> = shared.told.iter().map(|message| &message.text).collect();
        assert_eq!(texts.len(), shared.told.len(), "seed {seed}: told twice");
        // Each incident is over in one message: its own, or that of all it failed with.
        let ends = of("resolved").iter().map(|message| {
            let counted = message.attributes.iter().find_map(|(name, value)| match value {
                Attribute::Number(sensors) if *name == "sensors" => Some(*sensors as usize),
                _ => None,
            });
            counted.unwrap_or(1)
        });
        assert_eq!(ends.sum::<usize>(), loud, "seed {seed}: ends of incidents");
        messages += of("resolved").len();
        together += loud;
    }
    assert!(
        messages > 500 && 4 * messages < 3 * together,
        "{messages} of {together}"
    );
}
