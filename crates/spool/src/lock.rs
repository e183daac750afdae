use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::SpoolError;

/// Locks a directory for this process until dropped. The system releases the lock however the process ends.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Locks `dir`; an error if another process has locked it.
    pub fn acquire(dir: &Path) -> Result<Self, SpoolError> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| SpoolError::io("opening the lock of", &path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(SpoolError::io("locking", &path, error)),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is just being started may briefly hold a copy of it.
        let _ = self.file.unlock();
    }
}
