//! TLS towards a broker: whom to trust, and who we are. Files are read at each connection, so that renewed ones are taken up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use crate::secrets::credential::{self, CredentialError};

/// Files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Files {
    /// Who signs brokers' certificates; the system's authorities where none is named.
    pub ca: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// A file of settings.
    #[error("{error}")]
    File {
        /// The setting.
        key: &'static str,
        error: CredentialError,
    },
    /// A file that holds what TLS cannot use.
    #[error("{}: {error}", file.display())]
    Unusable {
        key: &'static str,
        file: PathBuf,
        error: rustls::Error,
    },
    /// One half of what shows who we are.
    #[error("it is half of what shows who we are: set tls_cert and tls_key together")]
    Half { key: &'static str },
    /// The system names no authorities.
    #[error("the system has no certificate authorities ({0}): set tls_ca")]
    NoAuthorities(String),
}

impl TlsError {
    /// The setting to mend.
    pub fn key(&self) -> &'static str {
        match self {
            Self::File { key, .. } | Self::Unusable { key, .. } | Self::Half { key } => key,
            Self::NoAuthorities(_) => "tls_ca",
        }
    }
}

/// A client that trusts whom `files` say.
pub(super) fn client(files: &Files) -> Result<Arc<ClientConfig>, TlsError> {
    let unusable = |key, file: &Path| {
        let file = credential::path(file);
        move |error| TlsError::Unusable { key, file, error }
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for these versions")
        .with_root_certificates(roots(files.ca.as_deref())?);
    let config = match (&files.certificate, &files.key) {
        (None, None) => config.with_no_client_auth(),
        (Some(certificate), Some(key)) => {
            let chain = credential::certificates(certificate).map_err(file("tls_cert"))?;
            let private = credential::private_key(key).map_err(file("tls_key"))?;
            config
                .with_client_auth_cert(chain, private)
                .map_err(unusable("tls_key", key))?
        }
        (Some(_), None) => return Err(TlsError::Half { key: "tls_cert" }),
        (None, Some(_)) => return Err(TlsError::Half { key: "tls_key" }),
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = ca else {
        let found = rustls_native_certs::load_native_certs();
        // One that is broken must not keep the others away.
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        return match (usable, found.errors.first()) {
            (0, Some(error)) => Err(TlsError::NoAuthorities(error.to_string())),
            (0, None) => Err(TlsError::NoAuthorities("there is none".into())),
            _ => Ok(roots),
        };
    };
    for certificate in credential::certificates(ca).map_err(file("tls_ca"))? {
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            key: "tls_ca",
            file: credential::path(ca),
            error,
        })?;
    }
    Ok(roots)
}

fn file(key: &'static str) -> impl Fn(CredentialError) -> TlsError {
    move |error| TlsError::File { key, error }
}
