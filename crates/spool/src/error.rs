use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;
use values::byte_size::ByteSize;

/// Why a call to the spool failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has locked the directory.
    #[error(
        "the spool in {} is in use by another temp-ingest: stop that one, or give this one a directory of its own \
         (spool.dir)", dir.display()
    )]
    InUse {
        /// The directory of the spool.
        dir: PathBuf,
    },
    /// It has reached its limit in bytes.
    #[error(
        "the spool holds {bytes} bytes of the {max_bytes} it may: raise spool.max_bytes, or set spool.when_full to \
         \"drop_oldest\""
    )]
    Full {
        /// Bytes in use.
        bytes: u64,
        /// Its limit in bytes.
        max_bytes: ByteSize,
    },
    /// The disk is full.
    #[error("the disk of the spool {} is full: free space on it", path.display())]
    DiskFull {
        /// An error of the database.
        path: PathBuf,
    },
    /// The disk or the file system returned an error.
    #[error("{doing} the spool {}: check the disk and the permissions of its folder", path.display())]
    Io {
        /// What was being done, such as `writing`.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The spool was closed, or its thread has ended: nothing can be spooled any more.
    #[error("the spool's thread has ended: restart temp-ingest")]
    Ended,
}

impl SpoolError {
    /// True if no later call can succeed either.
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

/// How to handle an error of SQLite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Free disk space is needed.
    DiskFull,
    /// A working disk, a permission, memory or the end of another process is needed: retry.
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
            // A missing table or index, a value of another type and a rejected file all mean the same.
            _ => Self::Damaged,
        }
    }
}
