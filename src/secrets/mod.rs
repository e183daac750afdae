//! Secrets, which are read from files and never logged.

/// Files with passwords, keys and certificates.
pub mod credential;
/// Bearer tokens in a file.
pub mod tokens;
