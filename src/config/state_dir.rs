//! Where the daemon may keep what must outlive it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment names no directory for state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no directory to keep state in: none of STATE_DIRECTORY, XDG_STATE_HOME and HOME is set to an absolute path; \
     set one of them, or spool.dir in the configuration"
)]
pub struct NoStateDirectory;

/// The directory for state: `$STATE_DIRECTORY` under systemd, else `$XDG_STATE_HOME/temp-ingest`, else
/// `$HOME/.local/state/temp-ingest`. It need not exist yet.
pub fn state_dir() -> Result<PathBuf, NoStateDirectory> {
    from(|name| env::var_os(name))
}

fn from(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, NoStateDirectory> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    // systemd separates several state directories of a unit with colons; the first is ours.
    let systemd = variable("STATE_DIRECTORY").and_then(|all| absolute(env::split_paths(&all).next()?));
    // The XDG specification has relative paths ignored.
    let user = || variable("XDG_STATE_HOME").and_then(|path| absolute(path.into()));
    let home = || variable("HOME").and_then(|path| absolute(Path::new(&path).join(".local/state")));
    systemd
        .or_else(|| user().or_else(home).map(|base| base.join("temp-ingest")))
        .ok_or(NoStateDirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<PathBuf, NoStateDirectory> {
        from(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn systemd_then_xdg_then_home() {
        let all = [
            ("STATE_DIRECTORY", "/var/lib/temp-ingest:/var/lib/other"),
            ("XDG_STATE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(with(&all), Ok("/var/lib/temp-ingest".into()));
        assert_eq!(with(&all[1..]), Ok("/x/temp-ingest".into()));
        assert_eq!(with(&all[2..]), Ok("/h/.local/state/temp-ingest".into()));
        assert_eq!(with(&[]), Err(NoStateDirectory));
    }

    #[test]
    fn relative_and_empty_paths_are_ignored() {
        assert_eq!(
            with(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "x"), ("HOME", "/h")]),
            Ok("/h/.local/state/temp-ingest".into())
        );
    }
}
