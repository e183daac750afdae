//! The frame of stored state: a version in front, a digest behind. Any other version is refused by name.

/// State that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A newer release wrote it.
    #[error("the {what} has layout {found}, this release knows {known}: run the newer release, or remove the {what}")]
    Newer {
        /// What was read: partition or journal.
        what: &'static str,
        /// Its version.
        found: u8,
        /// The version this release reads.
        known: u8,
    },
    /// An older release wrote it.
    #[error(
        "the {what} has layout {found}, this release knows only {known}: run the older release, or remove the {what}"
    )]
    Older {
        /// What was read: partition or journal.
        what: &'static str,
        /// Its version.
        found: u8,
        /// The version this release reads.
        known: u8,
    },
    /// It would take too much memory.
    #[error("the {what} holds sensors of weight {weight} or more, and {most} fit in memory")]
    TooLarge {
        /// What was read: a partition.
        what: &'static str,
        /// As far as it was read.
        weight: u64,
        /// The most that was allowed.
        most: u64,
    },
    /// Its bytes are damaged.
    #[error("the {what} is damaged: {problem}")]
    Damaged {
        /// What was read: partition or journal.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl StateError {
    pub(crate) fn damaged(what: &'static str, problem: impl ToString) -> Self {
        Self::Damaged {
            what,
            problem: problem.to_string(),
        }
    }
}

/// Splits off the version byte and refuses all but `known`.
pub(crate) fn versioned<'a>(what: &'static str, bytes: &'a [u8], known: u8) -> Result<&'a [u8], StateError> {
    match bytes.split_first() {
        None => Err(StateError::damaged(what, "it is empty")),
        Some((0, _)) => Err(StateError::damaged(what, "its version is 0")),
        Some((&found, _)) if found > known => Err(StateError::Newer { what, found, known }),
        Some((&found, _)) if found < known => Err(StateError::Older { what, found, known }),
        Some((_, rest)) => Ok(rest),
    }
}

/// Appends the digest of all bytes before it.
pub(crate) fn seal(bytes: &mut Vec<u8>) {
    let digest = crc32fast::hash(bytes);
    bytes.extend_from_slice(&digest.to_le_bytes());
}

/// Splits off the digest, which must be that of all bytes before it.
pub(crate) fn unseal<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], StateError> {
    let (body, digest) = bytes
        .split_last_chunk::<4>()
        .ok_or_else(|| StateError::damaged(what, "it is cut short"))?;
    if crc32fast::hash(body) != u32::from_le_bytes(*digest) {
        return Err(StateError::damaged(what, "its digest does not match its bytes"));
    }
    Ok(body)
}
