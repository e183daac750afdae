//! A control group with the limits of the systemd unit, so that a daemon that takes more than its unit allows is killed
//! here as it would be in production.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const UNIT: &str = include_str!("../../systemd/temp-ingest.service");

/// How often the removal of an empty group is tried: the kernel may take a moment to let go of processes that have exited.
const REMOVALS: u32 = 100_000;

/// The control group of one test. Declare it before the processes that run in it: it is removed when dropped.
#[derive(Debug)]
pub struct ControlGroup {
    hierarchy: Hierarchy,
    /// One directory with cgroup v2; one for each controller with v1.
    directories: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
enum Hierarchy {
    /// One tree with all controllers.
    V2(PathBuf),
    /// A tree for each controller.
    V1 { memory: PathBuf, pids: PathBuf },
}

impl ControlGroup {
    /// A group with the unit's limits of memory and tasks. Without the right to make one, which takes root, this prints that
    /// the test judges nothing and returns `None`; in continuous integration (`CI=true`) it panics instead.
    pub fn with_limits_of_unit() -> Option<Self> {
        let made =
            Hierarchy::mounted().and_then(|hierarchy| Self::create(hierarchy, bytes("MemoryMax"), count("TasksMax")));
        match made {
            Ok(group) => Some(group),
            Err(error) if std::env::var_os("CI").is_some_and(|value| value == "true") => {
                panic!("a memory control group cannot be created: {error}; run the tests as root")
            }
            Err(error) => {
                say(&format!(
                    "NOT JUDGED: this test needs root to create a memory control group: {error}"
                ));
                None
            }
        }
    }

    fn create(hierarchy: Hierarchy, memory: u64, tasks: u64) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("temp-ingest-test-{}-{number}", std::process::id());
        let (memory, tasks) = (memory.to_string(), tasks.to_string());
        let mut group = Self {
            hierarchy: hierarchy.clone(),
            directories: Vec::new(),
        };
        match hierarchy {
            Hierarchy::V2(root) => {
                fs::write(root.join("cgroup.subtree_control"), "+memory +pids")?;
                let directory = group.make(&root, &name)?;
                fs::write(directory.join("memory.max"), memory)?;
                // The kernel has no such file without swap.
                write_if_exists(&directory.join("memory.swap.max"), "0")?;
                fs::write(directory.join("pids.max"), tasks)?;
            }
            Hierarchy::V1 { memory: root, pids } => {
                let directory = group.make(&root, &name)?;
                fs::write(directory.join("memory.limit_in_bytes"), &memory)?;
                write_if_exists(&directory.join("memory.memsw.limit_in_bytes"), &memory)?;
                let directory = group.make(&pids, &name)?;
                fs::write(directory.join("pids.max"), tasks)?;
            }
        }
        Ok(group)
    }

    fn make(&mut self, root: &Path, name: &str) -> io::Result<PathBuf> {
        let directory = root.join(name);
        fs::create_dir(&directory)?;
        self.directories.push(directory.clone());
        Ok(directory)
    }

    /// A command that joins the group, takes on the unit's limit of open files, and becomes `program`, whose arguments the
    /// caller adds.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let join: String = self
            .directories
            .iter()
            .map(|directory| format!("echo $$ > '{}/cgroup.procs' && ", directory.display()))
            .collect();
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{join}ulimit -n {} && exec \"$@\"", count("LimitNOFILE")))
            .arg("sh")
            .arg(program);
        command
    }

    /// How many processes of the group the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let file = match self.hierarchy {
            Hierarchy::V2(_) => "memory.events",
            Hierarchy::V1 { .. } => "memory.oom_control",
        };
        let counters = fs::read_to_string(self.directories[0].join(file)).unwrap();
        let kills = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.expect("the kernel counts them since Linux 4.13").parse().unwrap()
    }

    /// The most memory that the group has held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let file = match self.hierarchy {
            Hierarchy::V2(_) => "memory.peak",
            Hierarchy::V1 { .. } => "memory.max_usage_in_bytes",
        };
        let peak = fs::read_to_string(self.directories[0].join(file)).unwrap();
        peak.trim().parse().unwrap()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        for directory in &self.directories {
            let removed = (0..REMOVALS).any(|_| {
                let removed = fs::remove_dir(directory);
                std::thread::yield_now();
                removed.is_ok()
            });
            if !removed {
                say(&format!(
                    "the control group {} is still in use and was left behind",
                    directory.display()
                ));
            }
        }
    }
}

impl Hierarchy {
    /// What is mounted here, with the memory controller.
    fn mounted() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let mounts: Vec<Vec<&str>> = mounts.lines().map(|line| line.split(' ').collect()).collect();
        let v1 = |controller: &str| {
            let mut mounts = mounts.iter().filter(|mount| mount[2] == "cgroup");
            let mount = mounts.find(|mount| mount[3].split(',').any(|option| option == controller))?;
            Some(PathBuf::from(mount[1]))
        };
        if let (Some(memory), Some(pids)) = (v1("memory"), v1("pids")) {
            return Ok(Self::V1 { memory, pids });
        }
        let v2 = mounts.iter().filter(|mount| mount[2] == "cgroup2").find(|mount| {
            let controllers = fs::read_to_string(Path::new(mount[1]).join("cgroup.controllers")).unwrap_or_default();
            controllers.split_whitespace().any(|name| name == "memory")
        });
        match v2 {
            Some(mount) => Ok(Self::V2(mount[1].into())),
            None => Err(io::Error::other("no control group with a memory controller is mounted")),
        }
    }
}

/// Prints a line that the test harness does not swallow.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn write_if_exists(file: &Path, text: &str) -> io::Result<()> {
    match file.exists() {
        true => fs::write(file, text),
        false => Ok(()),
    }
}

/// A value of the unit.
fn unit(key: &str) -> &'static str {
    let value = UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("the unit sets {key}"))
}

fn count(key: &str) -> u64 {
    unit(key).parse().unwrap()
}

fn bytes(key: &str) -> u64 {
    let mebibytes: u64 = unit(key)
        .strip_suffix('M')
        .expect("the unit counts memory in M")
        .parse()
        .unwrap();
    mebibytes << 20
}

#[test]
fn a_process_that_takes_more_memory_than_the_unit_allows_is_killed() {
    let Some(group) = ControlGroup::with_limits_of_unit() else {
        return;
    };
    let mut greedy = group.command("sh");
    // A shell variable that doubles until the kernel has enough.
    greedy.args(["-c", "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done"]);
    let status = greedy.status().unwrap();
    assert!(!status.success());
    assert_eq!(group.oom_kills(), 1, "{status}");
    assert!(group.peak_memory() <= bytes("MemoryMax"));
    let directories = group.directories.clone();
    drop(group);
    assert!(directories.iter().all(|directory| !directory.exists()));
}
