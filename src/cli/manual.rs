//! What is installed beside the program: manual pages, and completions for shells. Both are made of what `--help` says.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::arguments::Cli;

const NAME: &str = "temp-ingest";
/// What the options do not say: file or variable, and what it is.
const FILES: [(&str, &str); 4] = [
    (
        "/etc/temp-ingest/config.toml",
        "The configuration, where --config names no other.",
    ),
    (
        "/etc/temp-ingest/credentials",
        "Tokens, passwords and keys that the unit hands to the daemon alone, as secret_NAME in $CREDENTIALS_DIRECTORY.",
    ),
    (
        "$STATE_DIRECTORY, else $XDG_STATE_HOME/temp-ingest, else ~/.local/state/temp-ingest",
        "The spool, dead letters, replay positions, and the incidents of the embedded detectors.",
    ),
    (
        "/opt/temp-ingest/share/every-key.toml",
        "Every key of the configuration with its default and meaning.",
    ),
];
const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "Deliver what is in memory within grace, spool the rest, and end.",
    ),
    (
        "SIGHUP",
        "Load the configuration again and exchange the sources; the log says what else takes a restart.",
    ),
];

/// Writes the page of the program as a whole.
pub(super) fn page(out: &mut impl Write) -> io::Result<()> {
    let man = Man::new(Cli::command().disable_help_subcommand(true)).manual("User Commands");
    man.render(out)?;
    for (heading, terms) in [("FILES", &FILES[..]), ("SIGNALS", &SIGNALS[..])] {
        let mut roff = Roff::new();
        roff.control("SH", [heading]);
        for (term, meaning) in terms {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*meaning)]);
        }
        roff.to_writer(out)?;
    }
    Ok(())
}

/// Writes that page and one for each command into a directory, which is made where it is missing.
pub(super) fn pages(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)?;
    page(&mut File::create(dir.join(format!("{NAME}.1")))?)
}

/// Writes what a shell completes the command line by.
pub(super) fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    out.write_all(&script)
}
