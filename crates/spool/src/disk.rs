//! How much free disk space writing records requires, so that there is always enough left to remove them.

use std::path::Path;

/// Free space that records leave on the disk, because removing them first needs room in the log.
const FREE_BYTES: u64 = 1 << 20;

/// How a transaction finds room on the disk.
#[derive(Clone, Copy)]
pub(super) enum Disk {
    /// Normally.
    Roomy,
    /// The disk was full; the log has been restarted in the space it already has.
    Full { log_room: u64 },
    /// The disk was still full; new records take the place of older ones.
    InPlace { log_room: u64 },
}

impl Disk {
    /// The free space needed to write this many bytes of records, if the log has `log_bytes` and the database has room
    /// for `in_place` of them. Everything is written to the log first and copied into the database later.
    pub fn needed_bytes(self, bytes: u64, log_bytes: u64, in_place: u64) -> u64 {
        let grown = bytes.saturating_sub(in_place);
        match self {
            Self::Roomy => bytes + log_bytes + FREE_BYTES + grown,
            Self::Full { log_room } => (bytes + FREE_BYTES).saturating_sub(log_room) + grown,
            Self::InPlace { log_room } => (bytes + FREE_BYTES).saturating_sub(log_room),
        }
    }
}

/// The free space for the files of a directory, as the system reports it.
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
            // The current log will be copied into the database later, and so will these records unless they fill free
            // pages.
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
