//! TLS with a certificate that openssl makes, and one that takes its place.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{Client, reading};
use super::{Trial, eventually};
use crate::support::PATIENCE;

/// Writes `NAME.pem` and `NAME.key`, for the host `localhost`.
fn make(dir: &Path, name: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(dir.join(format!("{name}.key")))
        .arg("-out")
        .arg(dir.join(format!("{name}.pem")))
        .output()
        .expect("openssl is installed: make tools");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// A client that trusts this certificate alone; `None` where the server has another.
fn connect(trial: &Trial, certificate: &Path) -> Option<Client<StreamOwned<ClientConnection, TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(trial.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).ok()?;
    }
    Some(Client::over(StreamOwned::new(tls, stream)))
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_bad_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first.pem"), dir.path().join("second.pem"));
    make(dir.path(), "first");
    make(dir.path(), "second");
    let (pem, key) = (dir.path().join("server.pem"), dir.path().join("server.key"));
    std::fs::copy(&first, &pem).unwrap();
    std::fs::copy(dir.path().join("first.key"), &key).unwrap();
    let mut trial = Trial::new(&format!("tls_certificate = {pem:?}\ntls_key = {key:?}"));
    let mut open = connect(&trial, &first).unwrap();
    assert_eq!(open.post(&[], reading("a", 0).as_bytes()).status, 200);
    assert!(connect(&trial, &second).is_none());
    // Plain talk gets no answer and hurts nobody.
    let mut plain = Client::connect(trial.address);
    assert_ne!(
        plain
            .write(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n")
            .answer()
            .map(|answer| answer.status),
        Some(200)
    );
    // The key of another certificate changes nothing, and is said.
    std::fs::copy(dir.path().join("second.key"), &key).unwrap();
    trial.daemon.signal("HUP");
    let said = trial.daemon.logged("source.posts.tls_certificate");
    assert!(said.contains("cannot be used together"), "{said}");
    assert_eq!(
        connect(&trial, &first)
            .unwrap()
            .post(&[], reading("a", 1).as_bytes())
            .status,
        200
    );
    std::fs::copy(&second, &pem).unwrap();
    trial.daemon.signal("HUP");
    trial.daemon.logged("reloaded the sources");
    let mut renewed = None;
    eventually("the renewed certificate is shown", || {
        renewed = connect(&trial, &second);
        renewed.is_some()
    });
    let mut renewed = renewed.unwrap();
    assert_eq!(renewed.post(&[], reading("a", 2).as_bytes()).status, 200);
    assert_eq!(open.post(&[], reading("a", 3).as_bytes()).status, 200);
    assert_eq!(trial.delivered().len(), 4);
}
