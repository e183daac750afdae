//! What strace recorded: every change of the spool's files, and the workload's output in between.

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::workload::{DIR, SAID, SESSION};

/// A change of the spool's directory or of a file in it, in the order they happened.
pub(super) enum Event {
    Create(String),
    Write {
        name: String,
        at: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        name: String,
        length: u64,
    },
    Sync(String),
    SyncDir,
    Rename {
        from: String,
        to: String,
    },
    Remove(String),
    /// A line of the workload's output.
    Said(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(name) => write!(f, "{name} is made"),
            Self::Write { name, at, bytes } => write!(f, "{} bytes at {at} of {name}", bytes.len()),
            Self::Truncate { name, length } => write!(f, "{name} is cut to {length}"),
            Self::Sync(name) => write!(f, "{name} is synced"),
            Self::SyncDir => write!(f, "the directory is synced"),
            Self::Rename { from, to } => write!(f, "{from} is renamed {to}"),
            Self::Remove(name) => write!(f, "{name} is removed"),
            Self::Said(line) => write!(f, "\"{line}\""),
        }
    }
}

/// Every system call that can change a file or sync it. One that [`event`] does not know fails the test.
const CALLS: &str = "trace=openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,\
                     fdatasync,sync_file_range,copy_file_range,sendfile,splice,rename,renameat,renameat2,unlink,\
                     unlinkat,link,linkat";

/// Runs a session of the workload on `spool` under strace; `scratch` holds unrelated files.
pub(super) fn of_session(session: usize, spool: &Path, scratch: &Path) -> Vec<Event> {
    let (trace, said) = (scratch.join("trace"), scratch.join("said"));
    let output = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "100000000", "-e", CALLS, "-o"])
        .arg(&trace)
        .arg(env::current_exe().unwrap())
        .args(["crash_tests::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, spool)
        .env(SAID, &said)
        .env(SESSION, session.to_string())
        .output()
        .expect("strace is installed: scripts/install_tools.sh does it");
    let trace = fs::read_to_string(&trace).unwrap_or_default();
    assert!(
        output.status.success() && !trace.is_empty(),
        "session {session}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let prefix = format!("{}/", spool.to_str().unwrap());
    let mut unfinished = HashMap::new();
    let mut events = Vec::new();
    for line in trace.lines() {
        let (process, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        let whole = if let Some(start) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(process, start.to_owned());
            continue;
        } else if let Some((_, end)) = call.strip_prefix("<... ").and_then(|call| call.split_once(" resumed>")) {
            unfinished.remove(process).unwrap() + end
        } else {
            call.to_owned()
        };
        events.extend(event(&whole, spool.to_str().unwrap(), &prefix, said.to_str().unwrap()));
    }
    events
}

/// The event of one call; `None` if it failed or does not concern the spool.
fn event(call: &str, spool: &str, prefix: &str, said: &str) -> Option<Event> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(" = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    // Bytes and paths are in hexadecimal, so they contain neither commas nor brackets.
    let arguments = arguments.trim_end().strip_suffix(')')?;
    let arguments: Vec<&str> = arguments.split(", ").collect();
    let path = |argument: usize| text(arguments.get(argument).copied().unwrap_or_default());
    let within = |path: &str| path.strip_prefix(prefix).map(str::to_owned);
    let number = |argument: usize| arguments[argument].parse::<u64>().unwrap();
    match name {
        "write" if path(0) == said => Some(Event::Said(text(arguments[1]).trim_end().to_owned())),
        "fsync" | "fdatasync" if path(0) == spool => Some(Event::SyncDir),
        "fsync" | "fdatasync" => within(&path(0)).map(Event::Sync),
        "openat" => {
            let (name, flags) = (within(&path(1))?, arguments[2]);
            assert!(!flags.contains("O_TRUNC"), "{call}");
            flags.contains("O_CREAT").then_some(Event::Create(name))
        }
        "pwrite64" => within(&path(0)).map(|name| {
            let bytes = bytes(arguments[1]);
            assert_eq!(result.parse(), Ok(bytes.len()), "{name}: written in part");
            Event::Write {
                name,
                at: number(3),
                bytes,
            }
        }),
        "ftruncate" => within(&path(0)).map(|name| Event::Truncate {
            name,
            length: number(1),
        }),
        "rename" => within(&path(0)).map(|from| Event::Rename {
            from,
            to: within(&path(1)).unwrap(),
        }),
        "unlink" => within(&path(0)).map(Event::Remove),
        _ => {
            let of_spool = arguments.iter().any(|argument| text(argument).starts_with(spool));
            assert!(!of_spool, "a power cut after this is not modelled: {call:.200}");
            None
        }
    }
}

/// The quoted content of an argument, or the path of a descriptor.
fn text(argument: &str) -> String {
    String::from_utf8_lossy(&bytes(argument)).into_owned()
}

fn bytes(argument: &str) -> Vec<u8> {
    let start = argument.find(['"', '<']).map_or(argument.len(), |start| start + 1);
    let hex = &argument[start..argument.rfind(['"', '>']).unwrap_or(start).max(start)];
    hex.split("\\x")
        .skip(1)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}
