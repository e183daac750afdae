//! Secrets and certificates in files: which file a name stands for, what is in it, and whether it has changed.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where systemd puts what `LoadCredential=` names.
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Credentials>
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A credential that cannot be used. It never holds what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not PEM, or holds something else.
    #[error("{} holds no {what} in PEM: {cause}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong with it.
        cause: String,
    },
}

/// What tells whether a file has changed: its time and size, `None` while it cannot be looked at.
pub type Stamp = Option<(SystemTime, u64)>;

/// The file that a name in the settings stands for: a relative one is looked for among the unit's credentials, where there
/// are any.
pub fn path(name: &Path) -> PathBuf {
    match env::var_os(CREDENTIALS_DIRECTORY) {
        Some(directory) => Path::new(&directory).join(name),
        None => name.to_owned(),
    }
}

/// The text of the file that `name` stands for.
pub fn text(name: &Path) -> Result<String, CredentialError> {
    let path = path(name);
    fs::read_to_string(&path).map_err(|source| CredentialError::Read { path, source })
}

/// The certificates in the file that `name` stands for: at least one, the first is the own one.
pub fn certificates(name: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let path = path(name);
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    match read {
        Ok(certificates) if Vec::is_empty(&certificates) => Err(not_pem(path, "certificate", pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(not_pem(path, "certificate", error)),
    }
}

/// The private key in the file that `name` stands for.
pub fn private_key(name: &Path) -> Result<PrivateKeyDer<'static>, CredentialError> {
    let path = path(name);
    PrivateKeyDer::from_pem_file(&path).map_err(|error| not_pem(path, "private key", error))
}

/// What the file that `name` stands for looks like now.
pub fn stamp(name: &Path) -> Stamp {
    let metadata = fs::metadata(path(name)).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn not_pem(path: PathBuf, what: &'static str, error: pem::Error) -> CredentialError {
    match error {
        pem::Error::Io(source) => CredentialError::Read { path, source },
        pem::Error::NoItemsFound => CredentialError::Pem {
            path,
            what,
            cause: "there is none in it".to_owned(),
        },
        // Its other messages may quote a line of the file.
        _ => CredentialError::Pem {
            path,
            what,
            cause: "a section of it is damaged".to_owned(),
        },
    }
}
