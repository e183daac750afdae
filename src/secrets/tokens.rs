//! The accepted bearer tokens. Only their digests are kept, and every comparison takes the same time.

use std::fmt;
use std::path::Path;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::secrets::credential::{self, CredentialError};

/// Several tokens may be valid at once, so that they can be rotated.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<[u8; 32]>);

/// A token file that cannot be used. The error never includes a token.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The file cannot be read.
    #[error("{0}: name a file with one token a line")]
    Credential(#[from] CredentialError),
    /// Without a token no client could ever be admitted.
    #[error("{0} holds no token: write at least one, each on a line of its own, such as `openssl rand -hex 32` makes")]
    Empty(String),
    /// No client could send such a token.
    #[error(
        "{file}, line {line}: a token holds letters, digits and -._~+/= only: make one with `openssl rand -hex 32`"
    )]
    Unsendable {
        /// The file.
        file: String,
        /// The line number.
        line: usize,
    },
}

impl Tokens {
    /// Reads the tokens in a credential file, one a line.
    pub fn read(name: &Path) -> Result<Self, TokensError> {
        let text = credential::text(name)?;
        let file = || credential::path(name).display().to_string();
        let mut tokens = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let token = line.trim();
            if !token.bytes().all(is_of_token) {
                return Err(TokensError::Unsendable {
                    file: file(),
                    line: index + 1,
                });
            }
            if !token.is_empty() {
                tokens.push(digest(token.as_bytes()));
            }
        }
        if tokens.is_empty() {
            return Err(TokensError::Empty(file()));
        }
        Ok(Self(tokens))
    }

    /// True if this value of an `Authorization` header holds one of the tokens. Takes the same time for right and wrong
    /// tokens: the digests are all compared to their ends.
    pub fn admit(&self, authorization: Option<&[u8]>) -> bool {
        let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(7)) else {
            return false;
        };
        let token = digest(token.trim_ascii());
        let known = self
            .0
            .iter()
            .fold(Choice::from(0), |found, one| found | one.ct_eq(&token));
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(known)
    }
}

/// The characters of a bearer token: <https://datatracker.ietf.org/doc/html/rfc6750#section-2.1>.
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::fs;

    use super::*;

    fn read(text: &str) -> Result<Tokens, TokensError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        fs::write(&file, text).unwrap();
        Tokens::read(&file)
    }

    #[test]
    fn each_token_of_the_file_is_let_in_and_nothing_else() {
        let tokens = read("old-one\n\n  new.one=  \r\n").unwrap();
        for value in ["Bearer old-one", "bearer new.one=", "BEARER  old-one"] {
            assert!(tokens.admit(Some(value.as_bytes())), "{value}");
        }
        for value in [
            "Bearer old-on",
            "Bearer old-onee",
            "Bearer",
            "Bearer ",
            "old-one",
            "Basic old-one",
            "Bearerold-one",
            "",
        ] {
            assert!(!tokens.admit(Some(value.as_bytes())), "{value}");
        }
        assert!(!tokens.admit(None));
        assert!(!tokens.admit(Some(b"Bearer \xff\xfe")));
    }

    #[test]
    fn a_file_that_lets_nobody_in_is_an_error_that_names_it_and_no_token() {
        for text in ["", "\n \n"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("tokens holds no token"), "{error}");
        }
        let error = read("good\nse cret\n").unwrap_err().to_string();
        assert!(error.contains("tokens, line 2") && !error.contains("cret"), "{error}");
        let error = Tokens::read(Path::new("/nonexistent/tokens")).unwrap_err().to_string();
        assert!(error.contains("reading /nonexistent/tokens"), "{error}");
        assert_eq!(format!("{:?}", read("secret").unwrap()), "1 tokens");
    }
}
