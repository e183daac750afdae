//! A connection to a broker that has accepted us, or why there is none.

use std::io;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use values::duration::friendly;

use super::frames::{Frame, Frames, NotMqtt};
use super::mqtt_config::Config;
use super::packet::{self, Packet, Refusal};
use super::server::Server;
use super::tls::{self, TlsError};
use crate::secrets::credential::{self, CredentialError};

/// So much is read at once.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// What a broker says before it has accepted us is no longer.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A connection, encrypted or not.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A broker that has accepted us.
pub(super) struct Dialled {
    pub stream: Box<dyn Duplex>,
    /// What it has sent behind its answer.
    pub frames: Frames,
    /// It has kept our session.
    pub session: bool,
}

/// Why there is no connection, or no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("connecting: {0}")]
    Connect(io::Error),
    #[error("agreeing on TLS: {0}")]
    Handshake(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the password: {0}")]
    Password(#[from] CredentialError),
    #[error("{doing}: no answer within {}", friendly(*.within))]
    TimedOut {
        doing: &'static str,
        within: std::time::Duration,
    },
    #[error(
        "the broker refuses the user name or password of {user}: mend username and password_file, or the broker's own list"
    )]
    Login { user: String },
    #[error("the broker does not speak this version of MQTT: set protocol to the other one")]
    Version,
    #[error("the broker refuses the client id {id:?}: set client_id to one it takes")]
    ClientId { id: String },
    #[error("the broker refuses the connection: {0}")]
    Refused(&'static str),
    #[error("the broker refuses to subscribe us to {0}: allow it there, or mend topics")]
    Topics(String),
    #[error("the broker ended the connection")]
    Ended,
    #[error(
        "the broker ended the connection: {reason}{}",
        if .reason == "SessionTakenOver" { "; another client uses the same client_id" } else { "" }
    )]
    Closed { reason: String },
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("this is no MQTT broker: {0}")]
    NotMqtt(#[from] NotMqtt),
    #[error("the settings cannot be said in MQTT: {0}")]
    Unsayable(mqtt_protocol_core::mqtt::result_code::MqttError),
}

/// Connects to `server` as `client_id`.
pub(super) async fn dial(config: &Config, server: &Server, client_id: &str) -> Result<Dialled, ConnectionError> {
    let timed_out = |doing| ConnectionError::TimedOut {
        doing,
        within: config.timeout,
    };
    let stream = timeout(config.timeout, connect(config, server))
        .await
        .map_err(|_| timed_out("connecting"))??;
    timeout(config.timeout, introduce(config, stream, client_id))
        .await
        .map_err(|_| timed_out("logging in"))?
}

async fn connect(config: &Config, server: &Server) -> Result<Box<dyn Duplex>, ConnectionError> {
    let stream = TcpStream::connect((server.host.as_str(), server.port))
        .await
        .map_err(ConnectionError::Connect)?;
    // Acknowledgements are four bytes each and must not wait for one another.
    stream.set_nodelay(true).map_err(ConnectionError::Connect)?;
    if !server.tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(server.host.clone()).expect("it was checked with the settings");
    let connector = TlsConnector::from(tls::client(&config.tls)?);
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(ConnectionError::Handshake)?;
    Ok(Box::new(stream))
}

async fn introduce(config: &Config, mut stream: Box<dyn Duplex>, client_id: &str) -> Result<Dialled, ConnectionError> {
    let password = match config.login.as_ref().and_then(|login| login.password_file.as_deref()) {
        Some(file) => Some(credential::text(file)?),
        None => None,
    };
    // An editor ends the file with a line; a password has none.
    let password = password.as_deref().map(|text| text.trim_end_matches(['\r', '\n']));
    let login = config.login.as_ref().map(|login| (login.username.as_str(), password));
    let connect = packet::connect(config, client_id, login).map_err(ConnectionError::Unsayable)?;
    stream.write_all(&connect).await.map_err(ConnectionError::Broken)?;
    stream.flush().await.map_err(ConnectionError::Broken)?;
    let mut frames = Frames::new(config.max_message_bytes.max(MAX_ANSWER_BYTES));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if let Some(frame) = frames.next()? {
            let Frame::Packet { first, body } = frame else {
                return Err(NotMqtt("it sent a message before it has accepted us").into());
            };
            return match Packet::read(config.protocol, first, body)? {
                Packet::Accepted { session } => {
                    frames.limit(config.max_message_bytes);
                    Ok(Dialled {
                        stream,
                        frames,
                        session,
                    })
                }
                Packet::Refused(refusal) => Err(refused(config, client_id, refusal)),
                _ => Err(NotMqtt("it sent something else before it has accepted us").into()),
            };
        }
        match stream.read(&mut chunk).await.map_err(ConnectionError::Broken)? {
            0 => return Err(ConnectionError::Ended),
            read => frames.feed(&chunk[..read]),
        }
    }
}

fn refused(config: &Config, client_id: &str, refusal: Refusal) -> ConnectionError {
    match refusal {
        Refusal::Login => ConnectionError::Login {
            user: match &config.login {
                Some(login) => format!("{:?}", login.username),
                None => "nobody (username is not set)".into(),
            },
        },
        Refusal::Version => ConnectionError::Version,
        Refusal::ClientId => ConnectionError::ClientId { id: client_id.into() },
        Refusal::Other(reason) => ConnectionError::Refused(reason),
    }
}
