//! Why state or events could not be read or written.

use std::error::Error;

/// Why state or events could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store failed; trying again may help.
    #[error("{doing} failed")]
    Unavailable {
        /// What was being done, and with what.
        doing: String,
        /// The error of the store.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A newer version of the programs wrote it.
    #[error("{what} has format {found}, which a newer version wrote; this one reads {known}: upgrade again")]
    Newer {
        /// What was being read.
        what: String,
        /// The format it has.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// An older version of the programs wrote it.
    #[error(
        "{what} has format {found}, which an older version wrote; this one reads {known}: go back to it, or remove {what}"
    )]
    Older {
        /// What was being read.
        what: String,
        /// The format it has.
        found: u32,
        /// The format known here.
        known: u32,
    },
    /// It would take more memory than there is.
    #[error(
        "{what} is too large: it holds {sensors} sensors or more, and {most} fit in memory: raise max_sensors_per_partition to \
         half of what it holds or more, with 5 KiB of memory for each, or remove it"
    )]
    TooLarge {
        /// What was being read.
        what: String,
        /// How many sensors it holds, as far as it was read.
        sensors: u64,
        /// How many there may be.
        most: u64,
    },
    /// Its bytes are not what was written.
    #[error("{what} is damaged: {problem}")]
    Damaged {
        /// What was being read.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl StoreError {
    /// A failed operation of the store, and the error.
    pub fn unavailable(doing: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable {
            doing: doing.into(),
            source: source.into(),
        }
    }

    /// A word for logs and metric labels.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Newer { .. } => "newer",
            Self::Older { .. } => "older",
            Self::TooLarge { .. } => "too_large",
            Self::Damaged { .. } => "damaged",
        }
    }
}
