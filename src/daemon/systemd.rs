//! Notifications to the service manager: ready, status, watchdog, reloading, stopping. Without a service manager,
//! nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// Notifies the service manager.
#[derive(Debug)]
pub struct Notifier {
    status: String,
    keep_alive: Option<Duration>,
}

impl Notifier {
    /// Notifies the service manager that started this process, if there is one.
    pub fn new() -> Self {
        Self {
            status: String::new(),
            // Twice in the watchdog's period, so that one late ping does not kill the daemon.
            keep_alive: sd_notify::watchdog_enabled().map(|period| period / 2),
        }
    }

    /// How often [`Notifier::alive`] has to be called; `None` without a watchdog.
    pub fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }

    /// Settings are valid, ports are bound and the spool is open; also sent after a reload.
    pub fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// What the daemon is doing or waiting for. Sent only when it changes.
    pub fn status(&mut self, status: &str) {
        // Each line of a message is a separate assignment.
        let status = status.replace('\n', " ");
        if status != self.status {
            send(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// The pipeline made progress, or waits for a good reason.
    pub fn alive(&self) {
        send(&[NotifyState::Watchdog]);
    }

    /// A reload begins; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            // Without the time, systemd would take the answer to an earlier reload for the answer to this one.
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
        warn!(%error, "notifying the service manager");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    /// Sends every notification: to nobody when it runs as a test, to the other test when that one starts it.
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

    /// A test may not change its own environment, so it starts itself again as a child process.
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
