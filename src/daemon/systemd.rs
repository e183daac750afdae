//! What the service manager is told: ready, what is awaited, alive, reloading, stopping. Without one, nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Tells the service manager how it goes.
#[derive(Debug)]
pub struct Notifier {
    status: String,
    keep_alive: Option<Duration>,
}

impl Notifier {
    /// For the service manager this process was started by, if there is one.
    pub fn new() -> Self {
        Self {
            status: String::new(),
            // Twice in the time allowed, so that one late ping does not kill.
            keep_alive: sd_notify::watchdog_enabled().map(|period| period / 2),
        }
    }

    /// How often [`Notifier::alive`] has to be said; `None` where nobody watches.
    pub fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }

    /// The settings hold, ports are bound and the spool is open; also after a reload.
    pub fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// What the daemon does or waits for, in words. Said only when it changes.
    pub fn status(&mut self, status: &str) {
        // Each line of a message is an assignment of its own.
        let status = status.replace('\n', " ");
        if status != self.status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// The pipeline moved, or waits for a good reason.
    pub fn alive(&self) {
        send(&[NotifyState::Watchdog]);
    }

    /// A reload begins; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            // systemd takes a reload without its time for the answer to an earlier one.
            Ok(now) => send(&[NotifyState::Reloading, now]),
            Err(error) => warn!(%error, "reading the monotonic clock for the service manager"),
        }
    }

    /// The drain begins.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "telling the service manager");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    /// Says everything: to nobody when it runs as a test, to the other test when that one starts it.
    #[test]
    fn everything_is_said() {
        let mut notifier = Notifier::new();
        notifier.ready();
        notifier.status("waiting for\nstream s");
        notifier.status("waiting for stream s");
        notifier.alive();
        notifier.reloading();
        notifier.stopping();
        if let Some(period) = notifier.keep_alive() {
            notifier.status(&format!("{}", period.as_millis()));
        }
    }

    /// A test may not change its own environment, so it starts itself again.
    #[test]
    fn a_service_manager_hears_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "daemon::systemd::tests::everything_is_said"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "3000000")
            .status()
            .unwrap();
        assert!(status.success());
        socket.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        let mut message = [0; 512];
        while let Ok(length) = socket.recv(&mut message) {
            heard.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
        let reloading = heard.remove(3);
        let (first, time) = reloading.split_once('\n').unwrap();
        assert_eq!(first, "RELOADING=1");
        assert!(
            time.trim()
                .strip_prefix("MONOTONIC_USEC=")
                .unwrap()
                .parse::<u64>()
                .unwrap()
                > 0,
            "{reloading}"
        );
        assert_eq!(
            heard,
            [
                "READY=1\n",
                "STATUS=waiting for stream s\n",
                "WATCHDOG=1\n",
                "STOPPING=1\n",
                "STATUS=1500\n"
            ]
        );
    }
}
