//! What the dashboard is made of: the handles of the daemon, sessions, and what limits clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::HeaderMap;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use super::form::{Form, FormError, Forms};
use super::incident_stores::IncidentStores;
use super::login_limiter::Denied;
use super::rate_sampler::{self, RateSampler, Sample};
use super::scores::Scores;
use super::session::{Sessions, Visitor};
use super::{Handles, Settings};
use crate::control::overrides::Command;

/// What the page is made of.
#[derive(Debug)]
pub(super) struct Dashboard {
    shown: watch::Receiver<Handles>,
    pub commands: mpsc::Sender<Command>,
    pub address: SocketAddr,
    pub sessions: Sessions,
    hosts: Vec<String>,
    pub rate_sampler: RateSampler,
    pub incident_stores: IncidentStores,
    forms: Forms,
    pub scores: Scores,
}

/// What this person may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Nobody may change anything: there are no tokens.
    Off,
    /// They may log in.
    LoggedOut,
    /// They may change what runs.
    On(Visitor),
}

impl Dashboard {
    pub(super) fn new(
        shown: watch::Receiver<Handles>,
        commands: mpsc::Sender<Command>,
        address: SocketAddr,
        sessions: Sessions,
        settings: &Settings,
    ) -> Self {
        Self {
            shown,
            commands,
            address,
            sessions,
            hosts: settings.hosts.clone(),
            rate_sampler: RateSampler::default(),
            incident_stores: IncidentStores::default(),
            forms: Forms::new(settings.body_timeout.get()),
            scores: Scores::default(),
        }
    }

    /// What there is to show now.
    pub(super) fn shown(&self) -> Handles {
        self.shown.borrow().clone()
    }

    /// Names it may be asked by.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Counts once a second, for rates.
    pub(super) async fn count(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(rate_sampler::INTERVAL);
        loop {
            ticks.tick().await;
            let shown = self.shown();
            let counts = shown.metrics.counts();
            let status = shown.status.borrow();
            let sources = status.sources.iter();
            self.rate_sampler.beat(Sample {
                at: Instant::now(),
                produced: counts.produced,
                delivered: counts.delivered,
                sources: sources.map(|row| (row.name.clone(), row.produced.get())).collect(),
            });
        }
    }

    pub(super) fn control(&self, headers: &HeaderMap) -> Control {
        match self.sessions.visitor(headers) {
            Some(visitor) => Control::On(visitor),
            None if self.sessions.are_possible() => Control::LoggedOut,
            None => Control::Off,
        }
    }

    /// Begins a session; what the browser is to keep.
    pub(super) fn begin_session(&self, token: &str, name: &str) -> Result<String, Denied> {
        self.sessions
            .log_in(token, name)
            .inspect_err(|denied| self.count_denied(*denied))
    }

    /// Whether the token of the request itself is let in; `None` where it has none, or there are none at all.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<Result<(), Denied>> {
        let token = self.sessions.token(headers)?;
        Some(token.inspect_err(|denied| self.count_denied(*denied)))
    }

    /// Reads a form of at most this many bytes.
    pub(super) async fn read_form(&self, body: Body, max: usize) -> Result<Form, FormError> {
        let read = self.forms.read(body, max).await;
        read.inspect_err(|error| self.shown.borrow().metrics.page_form_refused(error.reason()))
    }

    fn count_denied(&self, denied: Denied) {
        self.shown.borrow().metrics.page_token_refused(denied.reason());
        // Further attempts are only counted, so that they cannot fill the log.
        if denied == Denied::Wrong {
            warn!("somebody tried a wrong token on the page");
        }
    }
}
