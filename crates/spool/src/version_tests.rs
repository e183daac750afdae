//! Spools written by other versions are left unchanged.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;

use tempfile::TempDir;

use super::store::VERSION;
use super::tests::{open, record, store};

#[tokio::test]
async fn another_version_is_set_aside_untouched() {
    for version in [VERSION - 1, VERSION + 1] {
        is_set_aside(version).await;
    }
}

async fn is_set_aside(version: u32) {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, vec![record("a", 1, 1, 10)]).await;
    spool.close().await.unwrap();
    let database = dir.path().join("spool.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .pragma_update(None, "user_version", version)
        .unwrap();
    let before = fs::read(&database).unwrap();
    let (spool, recovered) = open(dir.path());
    let aside = recovered.set_aside.unwrap();
    let named = format!("spool.db.version-{version}-");
    assert!(aside.to_str().unwrap().contains(&named), "{aside:?}");
    assert_eq!(fs::read(&aside).unwrap(), before);
    assert_eq!((spool.records(), recovered.lanes.len()), (0, 0));
    store(&spool, vec![record("a", 2, 1, 10)]).await;
    spool.close().await.unwrap();
    assert_eq!(open(dir.path()).0.records(), 1, "the new one stays");
}
