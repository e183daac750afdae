//! TLS for servers: the certificate and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio_rustls::TlsAcceptor;

use crate::secrets::credential::{self, CredentialError};

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is not PEM.
    #[error("{0}: name a PEM file")]
    Credential(#[from] CredentialError),
    /// The two do not match, or TLS does not support their kind.
    #[error("{} and {} cannot be used together: {cause}: name a certificate and its own key", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// The TLS library's error.
        cause: rustls::Error,
    },
}

/// Returns an acceptor of TLS connections with the certificate and key in these files.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let chain = credential::certificates(certificate)?;
    let private = credential::private_key(key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|cause| TlsError::Pair {
            certificate: credential::path(certificate),
            key: credential::path(key),
            cause,
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config).into())
}
