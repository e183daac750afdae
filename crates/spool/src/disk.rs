//! How much room the disk must have before records are written, so that there is always some left to remove them.

use std::path::Path;

/// Records leave so much of the disk free, because to remove them takes room in the log first.
const FREE_BYTES: u64 = 1 << 20;

/// How a transaction finds room on the disk.
#[derive(Clone, Copy)]
pub(super) enum Disk {
    /// As it comes.
    Roomy,
    /// It was full, and the log has been started anew in the room it has.
    Full { log_room: u64 },
    /// It still was, and records take the place of older ones.
    InPlace { log_room: u64 },
}

impl Disk {
    /// What must be free to write so many bytes of records, where the log has `log_bytes` and the database has room
    /// for `in_place` of them. All is written to the log first; what the log holds goes into the database later.
    pub fn needed_bytes(self, bytes: u64, log_bytes: u64, in_place: u64) -> u64 {
        let grown = bytes.saturating_sub(in_place);
        match self {
            Self::Roomy => bytes + log_bytes + FREE_BYTES + grown,
            Self::Full { log_room } => (bytes + FREE_BYTES).saturating_sub(log_room) + grown,
            Self::InPlace { log_room } => (bytes + FREE_BYTES).saturating_sub(log_room),
        }
    }
}

/// What the disk of a directory still takes, as far as the system says.
pub(super) fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_passes_through_the_log() {
        const MIB: u64 = 1 << 20;
        let in_place = 300;
        for (disk, bytes, needed) in [
            // The log as it is goes into the database some day, and so do these, where they do not fill what is free.
            (Disk::Roomy, 1_000, MIB + 1_000 + 5_000 + 700),
            (Disk::Roomy, 200, MIB + 200 + 5_000),
            (Disk::Full { log_room: 400 }, 1_000, MIB + 600 + 700),
            (Disk::Full { log_room: 2 * MIB }, 1_000, 700),
            (Disk::InPlace { log_room: 400 }, 1_000, MIB + 600),
            (Disk::InPlace { log_room: 2 * MIB }, 1_000, 0),
        ] {
            assert_eq!(disk.needed_bytes(bytes, 5_000, in_place), needed);
        }
    }
}
