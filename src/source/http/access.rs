//! What holds for every request now: the limits, the tokens, the certificate. A reload or a changed file makes new ones.

use tokio_rustls::TlsAcceptor;

use super::http_config::{Config, Limits};
use super::tls::{self, TlsError};
use crate::secrets::credential::{self, Stamp};
use crate::secrets::tokens::{Tokens, TokensError};

/// What holds now.
pub struct Access {
    /// The config they were made of.
    pub config: Config,
    /// The same as the config's.
    pub limits: Limits,
    /// Who is let in; `None` lets everybody in.
    pub tokens: Option<Tokens>,
    /// `None` where connections are plain.
    pub tls: Option<TlsAcceptor>,
    stamps: Vec<Stamp>,
}

/// A file that the terms need cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The tokens'.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The certificate's or its key's.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Access {
    /// Reads the files that the config names.
    pub fn read(config: &Config) -> Result<Self, AccessError> {
        let tls = config.tls.as_ref();
        // Before the files: one that changes meanwhile is read again.
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

    /// True where a file has changed since.
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
