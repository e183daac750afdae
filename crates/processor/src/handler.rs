//! From records to pages: opens them, contains poison, folds, appends. Who calls it, and what keeps the pages, it does
//! not know. Its only clock is a stopwatch around the fold.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use detect::{SENSOR_BYTES, Settings};
use tracing::{error, warn};
use wire::json::Decoder;

use crate::batch::{Batch, Group, Poison};
use crate::fold::{Fold, Folded};
use crate::page_name::PageName;
use crate::pages::{Append, AppendError, Checkpointed, MAX_ENTRIES, Pages};
use crate::record::{KinesisRecord, SequenceNumber};
use crate::scores::{Scores, Unwanted};
use crate::seed::seed;
use crate::store_error::StoreError;
use crate::warm::{Warm, WarmPage};

/// Folds records into pages. One invocation at a time; any number of handlers may share the stored pages.
#[derive(Debug)]
pub struct Handler<P, S = Unwanted> {
    pages: P,
    scores: S,
    settings: Settings,
    limits: Limits,
    warm: Warm,
    decoder: Decoder,
    /// The most memory that a page of a lane took so far, in bytes; `None` before the first.
    largest_lane: Option<usize>,
    /// When a full page was logged last.
    full_logged: Option<Instant>,
    /// For so many invocations more, warm pages are compared with the store before they are folded.
    watchful: u32,
}

/// How long warm pages are watched after somebody else has moved one. A comparison costs a fifth of the write that would
/// be refused, and saves the page from being loaded whole.
const WATCHED_INVOCATIONS: u32 = 32;

/// A full page is logged at most once in so long, however many there are.
const LOG_FULL_PAGES_EVERY: Duration = Duration::from_secs(60);

/// What a page that is no lane's is expected to take in memory: it holds one sensor.
const PLAIN_PAGE_BYTES: usize = 12 * 1024;

/// The memory of the function where nothing else is set, in MiB.
const FUNCTION_MEBIBYTES: usize = 256;

/// How much a handler does before it writes, and how much it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An entry is closed after the record that brings it to so many bytes. DynamoDB takes items of 400 KB, so this
    /// leaves 100 KB for that record, four times the size of those our daemon packs.
    pub entry_bytes: usize,
    /// A checkpoint is written once the entries since the last have cost so many times what it cost, in bytes rounded up
    /// to [`UNIT_BYTES`](crate::entry::UNIT_BYTES) each: so checkpoints add one part in so many to what is written.
    pub checkpoint_ratio: usize,
    /// But not before so many entries,
    pub checkpoint_entries: usize,
    /// and at the latest after so many bytes of journal, which a cold start has to read and fold.
    pub checkpoint_bytes: usize,
    /// The most entries after a checkpoint; from half of it on, a page is not folded before a checkpoint is written.
    pub max_entries: usize,
    /// How many bytes of memory the pages take that are kept warm,
    pub warm_bytes: usize,
    /// and those that are folded at once: further pages of an invocation wait until these are appended. One page is folded
    /// however large it is.
    pub open_bytes: usize,
    /// How often a page is folded again because others moved it, before it fails.
    pub tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::within(FUNCTION_MEBIBYTES)
    }
}

impl Limits {
    /// For a process with so many MiB of memory: an eighth of it for warm pages, three sixteenths for those being folded. The
    /// rest is for the program, the records, and a checkpoint while it is read or written.
    pub fn within(mebibytes: usize) -> Self {
        Self {
            entry_bytes: 300_000,
            checkpoint_ratio: 4,
            checkpoint_entries: 64,
            checkpoint_bytes: 4 * 1024 * 1024,
            max_entries: MAX_ENTRIES,
            warm_bytes: (mebibytes << 20) / 8,
            open_bytes: (mebibytes << 20) / 16 * 3,
            tries: 5,
        }
    }

    /// The weight above which a stored page is refused rather than read. What `settings` permit is always read.
    pub fn most_weight(&self, settings: &Settings) -> u64 {
        let permitted = 2 * u64::from(settings.max_sensors_per_partition.get());
        permitted.max((self.open_bytes / SENSOR_BYTES) as u64)
    }
}

/// What became of an invocation's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// The lowest sequence number that was not handled, and must be delivered again with all that follow it.
    pub failed: Option<SequenceNumber>,
    /// What was handled.
    pub counts: Counts,
    /// How long decoding, scoring and encoding took, without the store.
    pub folding: Duration,
}

/// What a handler did. A reading counts when all entries of its page are appended, so what fails is not counted, and what
/// is delivered again counts as repeated: never twice, but where only some of the entries were appended, those not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings that moved their page.
    pub readings: u64,
    /// Readings not newer than the last one of their sensor.
    pub late: u64,
    /// Readings that were not judged because their page is full.
    pub refused: u64,
    /// Readings that are events: no numbers.
    pub events: u64,
    /// Readings that follow from events.
    pub derived: u64,
    /// Records whose readings the page had folded before.
    pub repeated_records: u64,
    /// Readings, or whole records, that cannot be read, by reason.
    pub poison: BTreeMap<&'static str, u64>,
    /// Readings that are anomalies.
    pub anomalies: u64,
    /// Moments of incidents.
    pub transitions: u64,
    /// Entries appended.
    pub entries: u64,
    /// Checkpoints written.
    pub checkpoints: u64,
    /// Pages folded again because others had moved them.
    pub conflicts: u64,
    /// Pages that failed for this time.
    pub failed_pages: u64,
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.readings += other.readings;
        self.late += other.late;
        self.refused += other.refused;
        self.events += other.events;
        self.derived += other.derived;
        self.repeated_records += other.repeated_records;
        for (reason, count) in &other.poison {
            *self.poison.entry(reason).or_default() += count;
        }
        self.anomalies += other.anomalies;
        self.transitions += other.transitions;
        self.entries += other.entries;
        self.checkpoints += other.checkpoints;
        self.conflicts += other.conflicts;
        self.failed_pages += other.failed_pages;
    }
}

/// What one invocation has come to so far.
#[derive(Default)]
struct Outcome {
    handled: Handled,
    poison: Vec<Poison>,
}

impl Outcome {
    fn count(&mut self, folded: Folded) {
        self.handled.counts.add(&folded.counts);
        self.poison.extend(folded.poison);
    }

    fn fail(&mut self, group: &Group<'_>, error: &dyn std::error::Error) {
        self.handled.counts.failed_pages += 1;
        let cause = error.source().map(ToString::to_string);
        warn!(page = %group.page, error = %error, cause, "page failed, its records will be delivered again");
        let first = group.first().cloned();
        self.handled.failed = [self.handled.failed.take(), first].into_iter().flatten().min();
    }
}

impl<P: Pages> Handler<P> {
    /// Over these pages, with what people set.
    pub fn new(pages: P, settings: Settings, limits: Limits) -> Self {
        Self {
            pages,
            scores: Unwanted,
            settings,
            limits,
            warm: Warm::new(limits.warm_bytes),
            decoder: Decoder::of_kept(),
            largest_lane: None,
            full_logged: None,
            watchful: 0,
        }
    }

    /// The same, and `scores` takes what every reading came to.
    pub fn with_scores<S: Scores>(self, scores: S) -> Handler<P, S> {
        Handler {
            pages: self.pages,
            scores,
            settings: self.settings,
            limits: self.limits,
            warm: self.warm,
            decoder: self.decoder,
            largest_lane: self.largest_lane,
            full_logged: self.full_logged,
            watchful: self.watchful,
        }
    }
}

impl<P: Pages, S: Scores> Handler<P, S> {
    /// Judges by other settings from here on.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Folds the records of one shard, in order. Whatever happens, records before the one it answers need not be
    /// delivered again, and delivering any of them again changes nothing. May be given up at any moment.
    pub async fn handle(&mut self, records: &[KinesisRecord<'_>]) -> Handled {
        let begun = Instant::now();
        let Batch { mut groups, poison } = Batch::of(records, &mut self.decoder);
        let mut outcome = Outcome {
            poison,
            ..Outcome::default()
        };
        outcome.handled.folding = begun.elapsed();
        for tried in 1.. {
            groups = self.attempt(groups, &mut outcome).await;
            if groups.is_empty() {
                break;
            }
            outcome.handled.counts.conflicts += groups.len() as u64;
            if tried >= self.limits.tries {
                for group in groups {
                    outcome.fail(&group, &AppendError::Conflict);
                }
                break;
            }
        }
        finish(outcome)
    }

    /// Folds and appends these pages once, as many together as memory allows; those that others moved meanwhile come back.
    async fn attempt<'a>(&mut self, groups: Vec<Group<'a>>, outcome: &mut Outcome) -> Vec<Group<'a>> {
        let mut waiting = VecDeque::from(groups);
        let mut again = Vec::new();
        while !waiting.is_empty() {
            let open = self.open_some(&mut waiting, outcome, &mut again).await;
            again.extend(self.fold(open, outcome).await);
        }
        again
    }

    /// Opens pages until those that are open take as much memory as they may.
    async fn open_some<'a>(
        &mut self,
        waiting: &mut VecDeque<Group<'a>>,
        outcome: &mut Outcome,
        again: &mut Vec<Group<'a>>,
    ) -> Vec<(Group<'a>, WarmPage)> {
        let mut open: Vec<(Group<'a>, WarmPage)> = Vec::new();
        let mut bytes = 0;
        loop {
            let mut next = Vec::new();
            let mut expected = bytes;
            while let Some(group) = waiting.front() {
                expected += self.expected_bytes(&group.page);
                let first = open.is_empty() && next.is_empty();
                if expected > self.limits.open_bytes && !first {
                    break;
                }
                next.extend(waiting.pop_front());
            }
            if next.is_empty() {
                return open;
            }
            for (group, page) in self.open(next, outcome, again).await {
                bytes += page.bytes();
                if group.page.lane().is_some() {
                    self.largest_lane = self.largest_lane.max(Some(page.bytes()));
                }
                open.push((group, page));
            }
        }
    }

    /// What a page is expected to take in memory once it is open. Sensors are spread evenly over lanes, so that their pages are
    /// about equally large; before the first one is open nothing is known of them.
    fn expected_bytes(&self, name: &PageName) -> usize {
        match self.warm.bytes_of(name) {
            Some(bytes) => bytes,
            None if name.lane().is_some() => self.largest_lane.unwrap_or(self.limits.open_bytes),
            None => PLAIN_PAGE_BYTES,
        }
    }

    /// Folds and appends these pages; the groups whose pages others moved come back.
    async fn fold<'a>(&mut self, open: Vec<(Group<'a>, WarmPage)>, outcome: &mut Outcome) -> Vec<Group<'a>> {
        let mut again = Vec::new();
        let begun = Instant::now();
        let mut scores = Vec::new();
        let mut folded = Vec::with_capacity(open.len());
        for (group, mut page) in open {
            let fold = Fold::new(&mut page, &self.settings, self.limits.entry_bytes, self.scores.wanted());
            let mut result = fold.run(&group, &mut self.decoder);
            self.log_full(&group.page, &result);
            if page.entries + result.entries.len() > self.limits.max_entries {
                outcome.fail(&group, &too_many_entries(&page));
                continue;
            }
            scores.push((group.page.clone(), std::mem::take(&mut result.scores)));
            folded.push((group, page, result));
        }
        outcome.handled.folding += begun.elapsed();
        if self.scores.wanted()
            && let Err(error) = self.scores.keep(&scores).await
        {
            for (group, ..) in folded {
                outcome.fail(&group, &error);
            }
            return again;
        }
        again.extend(self.append(folded, outcome).await);
        again
    }

    fn log_full(&mut self, page: &PageName, folded: &Folded) {
        let Some(sensor) = &folded.refused else { return };
        if self
            .full_logged
            .is_some_and(|logged| logged.elapsed() < LOG_FULL_PAGES_EVERY)
        {
            return;
        }
        self.full_logged = Some(Instant::now());
        warn!(
            partition = %page,
            sensor,
            readings = folded.counts.refused,
            max_sensors_per_partition = self.settings.max_sensors_per_partition.get(),
            "the partition is full: readings of new sensors are not judged; raise max_sensors_per_partition or use more lanes"
        );
    }

    /// Appends what was folded; the groups whose pages others moved come back.
    async fn append<'a>(
        &mut self,
        folded: Vec<(Group<'a>, WarmPage, Folded)>,
        outcome: &mut Outcome,
    ) -> Vec<Group<'a>> {
        let mut again = Vec::new();
        let mut appends = Vec::new();
        let mut appending = Vec::new();
        for (group, page, mut result) in folded {
            if result.entries.is_empty() {
                outcome.count(result);
                self.warm.put(group.page, page);
            } else {
                appends.push(Append {
                    page: group.page.clone(),
                    entries: std::mem::take(&mut result.entries),
                });
                appending.push((group, page, result));
            }
        }
        if appends.is_empty() {
            return again;
        }
        let answers = self.pages.append(&appends).await;
        debug_assert_eq!(answers.len(), appends.len());
        for ((answer, append), (group, mut page, result)) in answers.into_iter().zip(appends).zip(appending) {
            match answer {
                Ok(()) => {
                    page.appended(&append.entries);
                    outcome.count(result);
                    outcome.handled.counts.entries += append.entries.len() as u64;
                    if page.wants_checkpoint(&self.limits) {
                        // Its failure loses nothing: the entries are there, and the next append tries again.
                        if let Err(error) = self.checkpoint(&group.page, &mut page, outcome).await {
                            warn!(page = %group.page, %error, "checkpoint failed, the next append tries again");
                        }
                    }
                    self.warm.put(group.page, page);
                }
                // The page in memory holds what is not stored, or not as it is stored: it goes.
                Err(AppendError::Conflict) => {
                    self.watchful = WATCHED_INVOCATIONS;
                    again.push(group);
                }
                Err(AppendError::Store(error)) => outcome.fail(&group, &error),
            }
        }
        again
    }

    /// The pages of these groups, warm or loaded, or new.
    async fn open<'a>(
        &mut self,
        groups: Vec<Group<'a>>,
        outcome: &mut Outcome,
        again: &mut Vec<Group<'a>>,
    ) -> Vec<(Group<'a>, WarmPage)> {
        let mut open = Vec::with_capacity(groups.len());
        let mut cold = Vec::new();
        for group in groups {
            match self.warm.take(&group.page) {
                Some(page) => open.push((group, page)),
                None => cold.push(group),
            }
        }
        if self.watchful > 0 {
            open = self.catch_up(open, outcome).await;
        }
        let names: Vec<PageName> = cold.iter().map(|group| group.page.clone()).collect();
        let loaded = if names.is_empty() {
            Vec::new()
        } else {
            self.pages.load(&names).await
        };
        debug_assert_eq!(loaded.len(), names.len());
        for (group, stored) in cold.into_iter().zip(loaded) {
            let page = match stored {
                Ok(Some(stored)) => {
                    WarmPage::restore(&group.page, &stored, self.limits.most_weight(&self.settings)).map(Some)
                }
                Ok(None) => self.begin(&group.page).await,
                Err(error) => Err(error),
            };
            match page {
                Ok(Some(page)) => open.push((group, page)),
                Ok(None) => again.push(group),
                Err(error) => outcome.fail(&group, &error),
            }
        }
        self.make_room(open, outcome).await
    }

    /// Folds into warm pages what others have appended to them.
    async fn catch_up<'a>(
        &mut self,
        open: Vec<(Group<'a>, WarmPage)>,
        outcome: &mut Outcome,
    ) -> Vec<(Group<'a>, WarmPage)> {
        self.watchful -= 1;
        let known: Vec<(PageName, u64)> = open
            .iter()
            .map(|(group, page)| (group.page.clone(), page.version))
            .collect();
        let since = self.pages.since(&known).await;
        debug_assert_eq!(since.len(), known.len());
        let mut current = Vec::with_capacity(open.len());
        for ((group, mut page), entries) in open.into_iter().zip(since) {
            let followed = entries.and_then(|entries| {
                if !entries.is_empty() {
                    self.watchful = WATCHED_INVOCATIONS;
                }
                page.follow(&group.page, &entries)
            });
            match followed {
                Ok(()) => current.push((group, page)),
                Err(error) => outcome.fail(&group, &error),
            }
        }
        current
    }

    /// Writes the checkpoints without which these pages could soon take no more entries.
    async fn make_room<'a>(
        &mut self,
        open: Vec<(Group<'a>, WarmPage)>,
        outcome: &mut Outcome,
    ) -> Vec<(Group<'a>, WarmPage)> {
        let mut roomy = Vec::with_capacity(open.len());
        for (group, mut page) in open {
            if page.entries >= self.limits.max_entries.div_ceil(2)
                && let Err(error) = self.checkpoint(&group.page, &mut page, outcome).await
            {
                outcome.fail(&group, &error);
            } else {
                roomy.push((group, page));
            }
        }
        roomy
    }

    /// A page that is not stored yet; `None` where somebody else has just begun it.
    async fn begin(&mut self, name: &PageName) -> Result<Option<WarmPage>, StoreError> {
        let Some(lane) = name.lane() else {
            return Ok(Some(WarmPage::default()));
        };
        let most_weight = self.limits.most_weight(&self.settings);
        let mut page = WarmPage::new(seed(&mut self.pages, lane, most_weight).await?);
        // Written even where nothing was known: two invocations must not begin a page from different states.
        let checkpoint = page.checkpoint();
        Ok(match self.pages.checkpoint(name, &checkpoint).await? {
            Checkpointed::Written => {
                page.checkpointed(&checkpoint);
                Some(page)
            }
            Checkpointed::Superseded => None,
        })
    }

    async fn checkpoint(
        &mut self,
        name: &PageName,
        page: &mut WarmPage,
        outcome: &mut Outcome,
    ) -> Result<(), StoreError> {
        let checkpoint = page.checkpoint();
        self.pages.checkpoint(name, &checkpoint).await?;
        page.checkpointed(&checkpoint);
        outcome.handled.counts.checkpoints += 1;
        Ok(())
    }
}

fn too_many_entries(page: &WarmPage) -> StoreError {
    StoreError::unavailable(
        format!("adding to the {} entries after the last checkpoint", page.entries),
        "the store keeps no more: too much came at once, so deliver it in smaller batches",
    )
}

/// Counts and logs what could not be read, unless it will be delivered again.
fn finish(outcome: Outcome) -> Handled {
    let Outcome { mut handled, poison } = outcome;
    for poison in poison {
        if handled.failed.as_ref().is_some_and(|failed| poison.sequence >= *failed) {
            continue;
        }
        let mut readings = 0;
        for (reason, count) in &poison.reasons {
            *handled.counts.poison.entry(reason).or_default() += count;
            readings += count;
        }
        error!(
            shard = %poison.shard,
            sequence = %poison.sequence,
            partition_key = %poison.partition_key,
            readings,
            first = %poison.first,
            "skipped what cannot be read"
        );
    }
    handled
}
