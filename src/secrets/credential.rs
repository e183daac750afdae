//! Secrets and certificates in files: which file a name refers to, what it holds, and whether it has changed.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The directory of the files that systemd's `LoadCredential=` names.
/// <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Credentials>
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A credential that cannot be used. It never includes the file's content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
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

/// The modification time and size of a file, by which a change is noticed; `None` while they cannot be read.
pub type Stamp = Option<(SystemTime, u64)>;

/// Returns the file that a name in the settings refers to: a relative name is looked up among the unit's credentials,
/// if it has any.
pub fn path(name: &Path) -> PathBuf {
    match env::var_os(CREDENTIALS_DIRECTORY) {
        Some(directory) => Path::new(&directory).join(name),
        None => name.to_owned(),
    }
}

/// Returns the text of the file that `name` refers to.
pub fn text(name: &Path) -> Result<String, CredentialError> {
    let path = path(name);
    fs::read_to_string(&path).map_err(|source| CredentialError::Read { path, source })
}

/// Returns the certificates in the file that `name` refers to: at least one, the daemon's own first.
pub fn certificates(name: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let path = path(name);
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
    match read {
        Ok(certificates) if Vec::is_empty(&certificates) => Err(not_pem(path, "certificate", pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(not_pem(path, "certificate", error)),
    }
}

/// Returns the private key in the file that `name` refers to.
pub fn private_key(name: &Path) -> Result<PrivateKeyDer<'static>, CredentialError> {
    let path = path(name);
    PrivateKeyDer::from_pem_file(&path).map_err(|error| not_pem(path, "private key", error))
}

/// Returns the current stamp of the file that `name` refers to.
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
