//! What of a session outlives the daemon: by what the broker knows it, and to what it is subscribed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::source::SourceError;
use crate::source::position::file_name;

const VERSION: u32 = 1;
/// With ten digits behind it within the 23 bytes that every broker has to take.
const PREFIX: &str = "temp-ingest-";

/// A session, and the file that keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    file: PathBuf,
    kept: Kept,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    version: u32,
    client_id: String,
    /// Topic filters that the broker was last asked for.
    topics: Vec<String>,
}

impl Session {
    /// The one that was kept for the source `name`, or a new one. `client_id` is the one that is set, where one is.
    pub fn open(dir: &Path, name: &str, client_id: Option<&str>) -> Result<Self, SourceError> {
        let file = dir.join(format!("mqtt-{}.json", file_name(name)));
        let kept = match fs::read(&file) {
            Ok(text) => match serde_json::from_slice::<Kept>(&text) {
                Ok(kept) if kept.version > VERSION => {
                    return Err(SourceError::NewerSession {
                        file: file.display().to_string(),
                        version: kept.version,
                    });
                }
                Ok(kept) => Some(kept),
                Err(error) => {
                    warn!(file = %file.display(), %error, "the kept session is damaged, a new one begins");
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                return Err(SourceError::File {
                    doing: "reading the session kept in",
                    file: file.display().to_string(),
                    source,
                });
            }
        };
        let kept = kept.filter(|kept| client_id.is_none_or(|id| id == kept.client_id));
        let session = Self {
            kept: kept.unwrap_or_else(|| Kept {
                version: VERSION,
                client_id: client_id.map_or_else(drawn, String::from),
                topics: Vec::new(),
            }),
            file,
        };
        // Before the broker keeps anything under an id that a crash could lose.
        session.store()?;
        Ok(session)
    }

    /// By what the broker knows it.
    pub fn client_id(&self) -> &str {
        &self.kept.client_id
    }

    /// To what the broker may still be subscribed, and should no longer.
    pub fn unwanted(&self, wanted: &[String]) -> Vec<String> {
        let topics = self.kept.topics.iter();
        topics.filter(|topic| !wanted.contains(topic)).cloned().collect()
    }

    /// The broker is subscribed to these and nothing else.
    pub fn subscribed(&mut self, topics: &[String]) -> Result<(), SourceError> {
        if self.kept.topics != topics {
            self.kept.topics = topics.to_vec();
            self.store()?;
        }
        Ok(())
    }

    /// Replaces the file: after a crash it is the old or the new one.
    fn store(&self) -> Result<(), SourceError> {
        let written = || {
            let dir = self.file.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(dir)?;
            let new = self.file.with_extension("json.new");
            let mut file = File::create(&new)?;
            serde_json::to_writer(&mut file, &self.kept)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &self.file)?;
            File::open(dir)?.sync_all()
        };
        written().map_err(|source| SourceError::File {
            doing: "keeping the session in",
            file: self.file.display().to_string(),
            source,
        })
    }
}

/// A client id that nobody else has.
fn drawn() -> String {
    format!("{PREFIX}{:010x}", rand::rng().random::<u64>() >> 24)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_session_is_the_same_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Session::open(dir.path(), "a/b", None).unwrap();
        assert!(
            first.client_id().len() == 22 && first.client_id().starts_with(PREFIX),
            "{first:?}"
        );
        first.subscribed(&["x".into(), "y".into()]).unwrap();
        let second = Session::open(dir.path(), "a/b", None).unwrap();
        assert_eq!(first, second);
        assert_eq!(second.unwanted(&["y".into(), "z".into()]), ["x"]);
        assert_ne!(
            Session::open(dir.path(), "c", None).unwrap().client_id(),
            first.client_id()
        );
    }

    #[test]
    fn another_client_id_is_another_session() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Session::open(dir.path(), "a", Some("one")).unwrap();
        first.subscribed(&["x".into()]).unwrap();
        assert_eq!(
            Session::open(dir.path(), "a", Some("one")).unwrap().unwanted(&[]),
            ["x"]
        );
        let second = Session::open(dir.path(), "a", Some("two")).unwrap();
        assert_eq!(second.client_id(), "two");
        assert!(second.unwanted(&[]).is_empty());
    }

    #[test]
    fn a_newer_versions_session_is_refused_and_a_damaged_one_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let session = Session::open(dir.path(), "a", None).unwrap();
        fs::write(&session.file, r#"{"version":2,"client_id":"x","topics":[],"more":1}"#).unwrap();
        let error = Session::open(dir.path(), "a", None).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
        fs::write(&session.file, "{").unwrap();
        assert_ne!(
            Session::open(dir.path(), "a", None).unwrap().client_id(),
            session.client_id()
        );
    }
}
