use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use values::byte_size::ByteSize;

/// The table `[spool]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The spool's directory; by default `spool` in the state directory.
    pub dir: Option<PathBuf>,
    /// Size limit of its records, in bytes.
    pub max_bytes: ByteSize,
    /// What happens to a record that does not fit.
    pub when_full: WhenFull,
}

/// What happens to a record that does not fit in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// It is rejected and stays in memory, so that sources eventually wait.
    #[default]
    Block,
    /// The oldest records are dropped to make room, and counted.
    DropOldest,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dir: None,
            max_bytes: ByteSize::from_mebibytes(1024),
            when_full: WhenFull::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

    use super::*;

    #[test]
    fn every_key_is_optional_and_a_misspelt_one_fails() {
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::default());
        let given: Settings =
            toml::from_str("dir = \"/s\"\nmax_bytes = \"2GiB\"\nwhen_full = \"drop_oldest\"").unwrap();
        assert_eq!(given.dir, Some(PathBuf::from("/s")));
        assert_eq!(given.max_bytes.as_bytes(), 2 << 30);
        assert_eq!(given.when_full, WhenFull::DropOldest);
        assert!(toml::from_str::<Settings>("max_byte = 1").is_err());
        assert!(toml::from_str::<Settings>("when_full = \"drop\"").is_err());
    }
}
