//! The settings in force for every request: limits, tokens and certificate. A reload or a changed file replaces them.

use tokio_rustls::TlsAcceptor;

use super::http_config::{Config, Limits};
use super::tls::{self, TlsError};
use crate::secrets::credential::{self, Stamp};
use crate::secrets::tokens::{Tokens, TokensError};

/// The settings in force.
pub struct Access {
    /// The configuration they were read from.
    pub config: Config,
    /// The configuration's limits.
    pub limits: Limits,
    /// The accepted tokens; `None` admits everybody.
    pub tokens: Option<Tokens>,
    /// The TLS acceptor; `None` for plain connections.
    pub tls: Option<TlsAcceptor>,
    stamps: Vec<Stamp>,
}

/// A file named in the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The token file.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Access {
    /// Reads the files that the configuration names.
    pub fn read(config: &Config) -> Result<Self, AccessError> {
        let tls = config.tls.as_ref();
        // Stamps are taken before the files are read, so that a change in between is noticed.
        let stamps = stamps(config);
        Ok(Self {
            limits: config.limits,
            tokens: config.token_file.as_deref().map(Tokens::read).transpose()?,
            tls: tls
                .map(|(certificate, key)| tls::acceptor(certificate, key))
                .transpose()?,
            config: config.clone(),
            stamps,
        })
    }

    /// True if a file has changed since.
    pub fn is_stale(&self) -> bool {
        stamps(&self.config) != self.stamps
    }
}

fn stamps(config: &Config) -> Vec<Stamp> {
    let tls = config.tls.iter().flat_map(|(certificate, key)| [certificate, key]);
    config
        .token_file
        .iter()
        .chain(tls)
        .map(|file| credential::stamp(file))
        .collect()
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("config", &self.config)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
