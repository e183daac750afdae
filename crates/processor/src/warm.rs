//! Pages kept in memory between invocations: always exactly what is stored, and never more bytes than allowed.

use std::collections::{BTreeMap, HashMap};

use detect::{Page, SENSOR_BYTES, StateError};

use crate::entry::{Checkpoint, Entry};
use crate::handler::Limits;
use crate::marks::Marks;
use crate::page_name::PageName;
use crate::pages::Stored;
use crate::store_error::StoreError;

/// What a page takes in memory besides its sensors.
const PAGE_BYTES: usize = 2048;

/// A page in memory.
#[derive(Debug, Default)]
pub(crate) struct WarmPage {
    pub page: Page,
    pub marks: Marks,
    /// That of the last entry folded.
    pub version: u64,
    /// Entries since the checkpoint, the bytes of their journals, and what they cost to write.
    pub entries: usize,
    journal_bytes: usize,
    written_bytes: usize,
    checkpoint_bytes: usize,
}

impl WarmPage {
    /// A page that begins with this state.
    pub fn new(page: Page) -> Self {
        Self {
            page,
            ..Self::default()
        }
    }

    /// The page that is stored: its checkpoint, and the entries after it folded again. Refused by name where it weighs more
    /// than `most_weight`.
    pub fn restore(name: &PageName, stored: &Stored, most_weight: u64) -> Result<Self, StoreError> {
        let mut warm = match &stored.checkpoint {
            Some(checkpoint) => Self {
                page: Page::decode(&checkpoint.page, most_weight).map_err(|error| unreadable(name, error))?,
                marks: checkpoint.marks.clone(),
                version: checkpoint.version,
                checkpoint_bytes: checkpoint.page.len(),
                ..Self::default()
            },
            None => Self::default(),
        };
        warm.follow(name, &stored.entries)?;
        Ok(warm)
    }

    /// Folds again what others appended. After an error the page is half moved and must be dropped.
    pub fn follow(&mut self, name: &PageName, entries: &[Entry]) -> Result<(), StoreError> {
        for entry in entries {
            if entry.version != self.version + 1 {
                return Err(StoreError::Damaged {
                    what: format!("page {name}"),
                    problem: format!(
                        "entry {} follows {}: those between are missing",
                        entry.version, self.version
                    ),
                });
            }
            self.page
                .replay(&entry.journal)
                .map_err(|error| unreadable(name, error))?;
            self.marks.apply(&entry.marks);
            self.appended(std::slice::from_ref(entry));
        }
        Ok(())
    }

    /// These entries, folded into it, are stored now.
    pub fn appended(&mut self, entries: &[Entry]) {
        self.version += entries.len() as u64;
        self.entries += entries.len();
        self.journal_bytes += entries.iter().map(|entry| entry.journal.len()).sum::<usize>();
        self.written_bytes += entries.iter().map(Entry::written_bytes).sum::<usize>();
    }

    /// True where a checkpoint is worth what it costs.
    pub fn wants_checkpoint(&self, limits: &Limits) -> bool {
        let paid = self.written_bytes >= self.checkpoint_bytes.saturating_mul(limits.checkpoint_ratio);
        paid && self.entries >= limits.checkpoint_entries || self.journal_bytes >= limits.checkpoint_bytes
    }

    /// All of it, at its version.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            version: self.version,
            marks: self.marks.clone(),
            page: self.page.encode(),
        }
    }

    /// The checkpoint is stored now.
    pub fn checkpointed(&mut self, checkpoint: &Checkpoint) {
        self.checkpoint_bytes = checkpoint.page.len();
        self.entries = 0;
        self.journal_bytes = 0;
        self.written_bytes = 0;
    }

    /// What it takes in memory at most.
    pub fn bytes(&self) -> usize {
        PAGE_BYTES + self.page.weight() as usize * SENSOR_BYTES
    }
}

fn unreadable(name: &PageName, error: StateError) -> StoreError {
    match error {
        StateError::Newer { what, found, known } => StoreError::Newer {
            what: format!("the {what} of page {name}"),
            found: found.into(),
            known: known.into(),
        },
        StateError::Older { what, found, known } => StoreError::Older {
            what: format!("the {what} of page {name}"),
            found: found.into(),
            known: known.into(),
        },
        StateError::TooLarge { weight, most, .. } => StoreError::TooLarge {
            what: format!("partition {name}"),
            sensors: weight,
            most,
        },
        StateError::Damaged { what, problem } => StoreError::Damaged {
            what: format!("the {what} of page {name}"),
            problem,
        },
    }
}

/// The pages used last, up to a number of bytes. A page that is being folded is taken out, so that whatever ends the
/// fold, what was not appended is gone with it.
#[derive(Debug)]
pub(crate) struct Warm {
    pages: HashMap<PageName, (u64, usize, WarmPage)>,
    order: BTreeMap<u64, PageName>,
    clock: u64,
    bytes: usize,
    max_bytes: usize,
}

impl Warm {
    pub fn new(max_bytes: usize) -> Self {
        Self {
            pages: HashMap::new(),
            order: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// What a page takes in memory, where it is here.
    pub fn bytes_of(&self, name: &PageName) -> Option<usize> {
        self.pages.get(name).map(|(_, bytes, _)| *bytes)
    }

    /// Takes a page out.
    pub fn take(&mut self, name: &PageName) -> Option<WarmPage> {
        let (used, bytes, page) = self.pages.remove(name)?;
        self.order.remove(&used);
        self.bytes -= bytes;
        Some(page)
    }

    /// Puts a page back as the one used last; lets go of those not used for longest.
    pub fn put(&mut self, name: PageName, page: WarmPage) {
        self.take(&name);
        self.clock += 1;
        let bytes = page.bytes();
        self.bytes += bytes;
        self.order.insert(self.clock, name.clone());
        self.pages.insert(name, (self.clock, bytes, page));
        while self.bytes > self.max_bytes
            && let Some((_, oldest)) = self.order.pop_first()
        {
            if let Some((_, bytes, _)) = self.pages.remove(&oldest) {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_go_of_what_was_not_used_for_longest() {
        let mut warm = Warm::new(3 * PAGE_BYTES);
        for name in ["a", "b", "c"] {
            warm.put(PageName::of_key(name), WarmPage::default());
        }
        let a = warm.take(&PageName::of_key("a"));
        assert!(a.is_some());
        warm.put(PageName::of_key("a"), a.unwrap_or_default());
        warm.put(PageName::of_key("d"), WarmPage::default());
        assert!(warm.take(&PageName::of_key("b")).is_none());
        for name in ["a", "c", "d"] {
            assert!(warm.take(&PageName::of_key(name)).is_some(), "{name}");
        }
        assert_eq!((warm.bytes, warm.order.len(), warm.pages.len()), (0, 0, 0));
    }
}
