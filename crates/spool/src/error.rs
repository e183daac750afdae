use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use values::byte_size::ByteSize;

/// Why the spool did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process holds the directory.
    #[error(
        "the spool in {} is in use by another temp-ingest: stop that one, or give this one a directory of its own \
         (spool.dir)", dir.display()
    )]
    InUse {
        /// The directory of the spool.
        dir: PathBuf,
    },
    /// It holds as many bytes as it may.
    #[error(
        "the spool holds {bytes} bytes of the {max_bytes} it may: raise spool.max_bytes, or set spool.when_full to \
         \"drop_oldest\""
    )]
    Full {
        /// The bytes it holds.
        bytes: u64,
        /// The bytes it may hold.
        max_bytes: ByteSize,
    },
    /// The disk has no room.
    #[error("the disk of the spool {} is full: free space on it", path.display())]
    DiskFull {
        /// The database.
        path: PathBuf,
    },
    /// The disk or the file system refuses.
    #[error("{doing} the spool {}: check the disk and the permissions of its folder", path.display())]
    Io {
        /// What was being done, such as `writing`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The spool was closed, or its thread has ended: nothing more can be spooled.
    #[error("the spool's thread has ended: restart temp-ingest")]
    Ended,
}

impl SpoolError {
    /// True where no later call can succeed either.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Ended)
    }

    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull || source.kind() == io::ErrorKind::QuotaExceeded {
            return Self::DiskFull { path: path.to_owned() };
        }
        let path = path.to_owned();
        let source = Arc::new(source);
        Self::Io { doing, path, source }
    }

    pub(super) fn sqlite(doing: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        if Fault::of(&source) == Fault::DiskFull {
            return Self::DiskFull { path: path.to_owned() };
        }
        let path = path.to_owned();
        let source = Arc::new(source);
        Self::Io { doing, path, source }
    }
}

/// What an error of SQLite asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Room on the disk.
    DiskFull,
    /// A working disk, permission, memory or another process to finish: to be tried again.
    System,
    /// The file is not what this program wrote.
    Damaged,
}

impl Fault {
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::FileLockingProtocolFailed,
            ) => Self::System,
            // A missing table or index, a value of another type and a refusal of the file itself all say the same.
            _ => Self::Damaged,
        }
    }
}
