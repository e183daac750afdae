//! TLS as a server: the certificate and its key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio_rustls::TlsAcceptor;

use crate::secrets::credential::{self, CredentialError};

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is no PEM.
    #[error("{0}: name a PEM file")]
    Credential(#[from] CredentialError),
    /// The two do not belong together, or are of a kind that TLS does not know.
    #[error("{} and {} cannot be used together: {cause}: name a certificate and its own key", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        cause: rustls::Error,
    },
}

/// What takes TLS connections in, with the certificate and the key of these files.
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
