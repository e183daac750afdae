//! Spools that other versions wrote: an older one is read, a newer one is left as it is.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::fs;

use tempfile::TempDir;
use wire::Identity;

use super::tests::{all, keys, open, record, store, unchecked};
use super::*;

#[tokio::test]
async fn a_newer_version_is_set_aside_untouched() {
    let dir = TempDir::new().unwrap();
    let (spool, _) = open(dir.path());
    store(&spool, vec![record("a", 1, 1, 10)]).await;
    spool.close().await.unwrap();
    let database = dir.path().join("spool.db");
    rusqlite::Connection::open(&database)
        .unwrap()
        .pragma_update(None, "user_version", 3)
        .unwrap();
    let before = fs::read(&database).unwrap();
    let (spool, recovered) = open(dir.path());
    let aside = recovered.set_aside.unwrap();
    assert!(aside.to_str().unwrap().contains("spool.db.version-3-"), "{aside:?}");
    assert_eq!(fs::read(&aside).unwrap(), before);
    assert_eq!((spool.records(), recovered.lanes.len()), (0, 0));
    store(&spool, vec![record("a", 2, 1, 10)]).await;
    spool.close().await.unwrap();
    assert_eq!(open(dir.path()).0.records(), 1, "the new one stays");
}

async fn version_1_is_whole(spool: &Spool) {
    for (name, expected) in [("16/03", &[(9, 7), (9, 8), (2, 1)][..]), ("16/12", &[(9, 1)])] {
        let found = unchecked(spool, name).await;
        assert_eq!(keys(&found), expected);
        for (_, got) in found {
            let Identity { producer, number } = got.identity;
            let seed = (producer.0 ^ number << 32 ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let bytes = (1..=got.data.len() as u64).map(|index| (seed.wrapping_mul(index) >> 56) as u8);
            assert!(got.data.iter().copied().eq(bytes), "{name} {number}");
        }
    }
}

/// Made by version 1: lanes 16/03 and 16/12, producers 9 and 2, one record over an overflow page.
#[tokio::test]
async fn version_1_is_read() {
    let dir = TempDir::new().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/spool-v1.db");
    fs::copy(fixture, dir.path().join("spool.db")).unwrap();
    let (spool, recovered) = open(dir.path());
    assert!(recovered.set_aside.is_none());
    assert_eq!(spool.records(), 4);
    version_1_is_whole(&spool).await;
    // What version 2 writes beside them is compressed; a damaged header has both salvaged.
    store(&spool, vec![record("house", 9, 1, 20_000)]).await;
    spool.close().await.unwrap();
    let database = dir.path().join("spool.db");
    let mut bytes = fs::read(&database).unwrap();
    bytes[..100].fill(0xA5);
    fs::write(&database, bytes).unwrap();
    let (spool, recovered) = open(dir.path());
    assert!(recovered.set_aside.is_some());
    assert_eq!(recovered.corrupt, Lost::default());
    version_1_is_whole(&spool).await;
    assert_eq!(keys(&all(&spool, "house").await), [(9, 1)]);
}
