//! Where pages are kept: a checkpoint and the entries after it. It knows no AWS type and no SQL.

use std::future::Future;

use crate::entry::{Checkpoint, Entry};
use crate::page_name::PageName;
use crate::store_error::StoreError;

/// The most entries a handler leaves after a page's newest checkpoint. A store may keep entries in a ring of as many
/// places, so the number is part of its format.
pub const MAX_ENTRIES: usize = 8192;

/// All that is kept of one page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// The newest checkpoint, where one was written.
    pub checkpoint: Option<Checkpoint>,
    /// The entries after it, without a gap, in order of their versions; perhaps without their events, which were handed
    /// on when they were appended.
    pub entries: Vec<Entry>,
}

/// The entries that move one page, each one version after the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Append {
    /// The page they move.
    pub page: PageName,
    /// Never empty.
    pub entries: Vec<Entry>,
}

/// Why entries were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else has moved the page since it was loaded: load it again.
    #[error("the page was moved by another invocation")]
    Conflict,
    /// The store failed; whether it took the entries is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a checkpoint was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointed {
    /// It is now the page's newest.
    Written,
    /// The page has one of this version or a later one, and keeps that.
    Superseded,
}

/// Keeps pages. Pages are handed over together, so that a store can read or write them at once; the answers are in
/// the same order, one a page, and the failure of one says nothing about another.
///
/// What a store must hold to: an entry whose version exists already, or is not after the newest checkpoint's, is a
/// [`AppendError::Conflict`], however long ago it was. Of the entries of one page none is appended without those before
/// it. Entries up to a checkpoint may be deleted or written over.
pub trait Pages: Send {
    /// What is kept of each page; `None` where nothing is.
    fn load(&mut self, pages: &[PageName]) -> impl Future<Output = Vec<Result<Option<Stored>, StoreError>>> + Send;

    /// The entries after these versions, in order and without a gap. None where nothing was appended, and none where the
    /// next one is not kept any more: then an append meets a conflict.
    fn since(&mut self, pages: &[(PageName, u64)]) -> impl Future<Output = Vec<Result<Vec<Entry>, StoreError>>> + Send;

    /// Appends entries, with their events, for good: what it answers `Ok` to survives the loss of power.
    fn append(&mut self, appends: &[Append]) -> impl Future<Output = Vec<Result<(), AppendError>>> + Send;

    /// Writes a checkpoint unless the page has one of its version or a later one.
    fn checkpoint(
        &mut self,
        page: &PageName,
        checkpoint: &Checkpoint,
    ) -> impl Future<Output = Result<Checkpointed, StoreError>> + Send;
}
