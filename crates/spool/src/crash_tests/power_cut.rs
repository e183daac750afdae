//! A disk that forgets any part of what was not synced, sector by sector.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::trace::Event;

/// The unit that a disk writes atomically.
const SECTOR: u64 = 512;

/// The directory of the spool. Names change in order, as on every journalling file system, but only a sync of the
/// directory makes the changes durable; syncing a file does not cover its name.
#[derive(Default)]
pub(super) struct Disk {
    files: Vec<File>,
    synced_names: BTreeMap<String, usize>,
    names: BTreeMap<String, usize>,
    renamings: Vec<Renaming>,
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    changes: Vec<Change>,
}

enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone)]
enum Renaming {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// How much of the unsynced data survives the cut.
#[derive(Clone, Copy)]
enum Part {
    Nothing,
    All,
    /// Each sector with this probability.
    Sectors(f64),
    /// Each write, whole or not at all, with this probability.
    Writes(f64),
    /// The first writes, up to somewhere within a write.
    First(f64),
}

impl Disk {
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Said(_) => {}
            Event::Create(name) => {
                if !self.names.contains_key(name) {
                    self.files.push(File::default());
                    self.rename(Renaming::Create(name.clone(), self.files.len() - 1));
                }
            }
            Event::Write { name, at, bytes } => self.change(name, Change::Write(*at, bytes.clone())),
            Event::Truncate { name, length } => self.change(name, Change::Truncate(*length)),
            Event::Sync(name) => {
                let file = &mut self.files[self.names[name]];
                for change in std::mem::take(&mut file.changes) {
                    change.apply(&mut file.synced);
                }
            }
            Event::SyncDir => {
                self.synced_names = self.names.clone();
                self.renamings.clear();
            }
            Event::Rename { from, to } => self.rename(Renaming::Rename(from.clone(), to.clone())),
            Event::Remove(name) => self.rename(Renaming::Remove(name.clone())),
        }
    }

    fn change(&mut self, name: &str, change: Change) {
        self.files[self.names[name]].changes.push(change);
    }

    fn rename(&mut self, renaming: Renaming) {
        renaming.apply(&mut self.names);
        self.renamings.push(renaming);
    }

    /// Writes to `dir` what a power cut at this point may leave.
    pub fn cut(&self, rng: &mut ChaCha8Rng, dir: &Path) {
        let mut names = self.synced_names.clone();
        let happened = match rng.random_range(0..4) {
            0 => 0,
            1 => self.renamings.len(),
            _ => rng.random_range(0..=self.renamings.len()),
        };
        for renaming in &self.renamings[..happened] {
            renaming.apply(&mut names);
        }
        for (name, file) in names {
            let chance = rng.random_range(0.02..0.98);
            let part = match rng.random_range(0..8) {
                0 => Part::Nothing,
                1 => Part::All,
                2..=4 => Part::Sectors(chance),
                5 | 6 => Part::Writes(chance),
                _ => Part::First(chance),
            };
            let mut content = self.files[file].after(part, rng);
            // Shared memory backed by a file: whatever part of it reached the disk means nothing.
            if name.ends_with("-shm") {
                content = vec![0; 32_768];
                rng.fill(&mut content[..]);
            }
            fs::write(dir.join(name), content).expect("the scratch directory takes files");
        }
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Create(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Rename(from, to) => {
                let file = names.remove(from).expect("what is renamed is there");
                names.insert(to.clone(), file);
            }
            Self::Remove(name) => drop(names.remove(name)),
        }
    }
}

impl File {
    fn after(&self, part: Part, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let mut content = self.synced.clone();
        let first = match part {
            Part::First(share) => (self.changes.len() as f64 * share) as usize,
            _ => self.changes.len(),
        };
        for (index, change) in self.changes.iter().enumerate().take(first + 1) {
            match part {
                Part::Nothing => {}
                Part::All => change.apply(&mut content),
                Part::Sectors(chance) => change.apply_torn(&mut content, chance, rng),
                Part::Writes(chance) => {
                    if rng.random_bool(chance) {
                        change.apply(&mut content);
                    }
                }
                Part::First(_) if index < first => change.apply(&mut content),
                Part::First(chance) => change.apply_torn(&mut content, chance, rng),
            }
        }
        content
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => write(content, *at, bytes),
            Self::Truncate(length) => content.resize(usize::try_from(*length).expect("a small file"), 0),
        }
    }

    fn apply_torn(&self, content: &mut Vec<u8>, chance: f64, rng: &mut ChaCha8Rng) {
        let Self::Write(at, bytes) = self else {
            if rng.random_bool(chance) {
                self.apply(content);
            }
            return;
        };
        let (mut at, mut bytes) = (*at, &bytes[..]);
        while !bytes.is_empty() {
            let (sector, rest) = bytes.split_at(bytes.len().min((SECTOR - at % SECTOR) as usize));
            if rng.random_bool(chance) {
                write(content, at, sector);
            }
            at += sector.len() as u64;
            bytes = rest;
        }
    }
}

/// The gap between the end of the file and the write is filled with zeros.
fn write(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).expect("a small file");
    if content.len() < at + bytes.len() {
        content.resize(at + bytes.len(), 0);
    }
    content[at..at + bytes.len()].copy_from_slice(bytes);
}
