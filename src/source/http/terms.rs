//! What holds for every request now: the limits, the tokens, the certificate. A reload or a changed file makes new ones.

use tokio_rustls::TlsAcceptor;

use super::plan::{Limits, Plan};
use super::tls::{self, TlsError};
use crate::secrets::credential::{self, Stamp};
use crate::secrets::tokens::{Tokens, TokensError};

/// What holds now.
pub struct Terms {
    /// The plan they were made of.
    pub plan: Plan,
    /// The same as the plan's.
    pub limits: Limits,
    /// Who is let in; `None` lets everybody in.
    pub tokens: Option<Tokens>,
    /// `None` where connections are plain.
    pub tls: Option<TlsAcceptor>,
    stamps: Vec<Stamp>,
}

/// A file that the terms need cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TermsError {
    /// The tokens'.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The certificate's or its key's.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Terms {
    /// Reads the files that the plan names.
    pub fn read(plan: &Plan) -> Result<Self, TermsError> {
        let tls = plan.tls.as_ref();
        // Before the files: one that changes meanwhile is read again.
        let stamps = stamps(plan);
        Ok(Self {
            limits: plan.limits,
            tokens: plan.token_file.as_deref().map(Tokens::read).transpose()?,
            tls: tls
                .map(|(certificate, key)| tls::acceptor(certificate, key))
                .transpose()?,
            plan: plan.clone(),
            stamps,
        })
    }

    /// True where a file has changed since.
    pub fn is_stale(&self) -> bool {
        stamps(&self.plan) != self.stamps
    }
}

fn stamps(plan: &Plan) -> Vec<Stamp> {
    let tls = plan.tls.iter().flat_map(|(certificate, key)| [certificate, key]);
    plan.token_file
        .iter()
        .chain(tls)
        .map(|file| credential::stamp(file))
        .collect()
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms")
            .field("plan", &self.plan)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
