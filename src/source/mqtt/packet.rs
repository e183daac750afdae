//! What is said to a broker and what it says, in both versions of MQTT. No I/O.

use mqtt_protocol_core::mqtt::packet::{
    Property, Qos, ReceiveMaximum, SessionExpiryInterval, SubEntry, SubOpts, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, MqttError};

use super::frames::NotMqtt;
use super::mqtt_config::{Config, Protocol};

/// Of our own packets only these two are answered by number.
const SUBSCRIBE_ID: u16 = 1;
const UNSUBSCRIBE_ID: u16 = 2;
/// Without a field in either version.
pub(super) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(super) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// What a broker says.
#[derive(Debug)]
pub(super) enum Packet {
    /// We are connected.
    Accepted {
        /// The broker has kept our session.
        session: bool,
    },
    /// We are not.
    Refused(Refusal),
    /// What became of each subscription, in their order.
    Subscribed(Vec<Granted>),
    /// A message.
    Message(Published),
    /// The broker ends the connection.
    Closed(String),
    /// An answer that says nothing more.
    Answer,
}

/// Why a broker does not want us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The name or the password is wrong, or is missing.
    Login,
    /// It does not speak this version.
    Version,
    /// It takes no such client id.
    ClientId,
    /// Anything else, in the protocol's words.
    Other(&'static str),
}

/// What became of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    AtMostOnce,
    AtLeastOnce,
    Refused,
}

/// A message of either version.
#[derive(Debug)]
pub(super) enum Published {
    V3(v3_1_1::Publish),
    V5(v5_0::Publish),
}

macro_rules! either {
    ($published:expr, $message:ident => $value:expr) => {
        match $published {
            Published::V3($message) => $value,
            Published::V5($message) => $value,
        }
    };
}

impl Published {
    pub fn topic(&self) -> &str {
        either!(self, message => message.topic_name())
    }

    pub fn payload(&self) -> &[u8] {
        either!(self, message => message.payload().as_slice())
    }

    pub fn is_retained(&self) -> bool {
        either!(self, message => message.retain())
    }

    /// What it is acknowledged by, where it is.
    pub fn id(&self) -> Option<u16> {
        either!(self, message => message.packet_id())
    }
}

impl Packet {
    /// Reads a packet with this first byte.
    pub fn read(protocol: Protocol, first: u8, body: &[u8]) -> Result<Self, NotMqtt> {
        let broken = |_: MqttError| NotMqtt("it sent a packet that is damaged");
        match (first >> 4, protocol) {
            (2, Protocol::V3) => {
                let answer = v3_1_1::Connack::parse(body).map_err(broken)?.0;
                Ok(match refusal_3(answer.return_code()) {
                    None => Self::Accepted {
                        session: answer.session_present(),
                    },
                    Some(refusal) => Self::Refused(refusal),
                })
            }
            (2, Protocol::V5) => {
                let answer = v5_0::Connack::parse(body).map_err(broken)?.0;
                Ok(match refusal_5(answer.reason_code()) {
                    None => Self::Accepted {
                        session: answer.session_present(),
                    },
                    Some(refusal) => Self::Refused(refusal),
                })
            }
            (3, _) => Self::message(protocol, first, body),
            (9, Protocol::V3) => {
                let answer = v3_1_1::Suback::parse(body).map_err(broken)?.0;
                let codes = answer.return_codes();
                Ok(Self::Subscribed(
                    codes.into_iter().map(|code| granted(code as u8)).collect(),
                ))
            }
            (9, Protocol::V5) => {
                let answer = v5_0::Suback::parse(body).map_err(broken)?.0;
                let codes = answer.reason_codes();
                Ok(Self::Subscribed(
                    codes.into_iter().map(|code| granted(code as u8)).collect(),
                ))
            }
            (11 | 13, _) => Ok(Self::Answer),
            (14, Protocol::V5) => {
                let reason = v5_0::Disconnect::parse(body).map_err(broken)?.0.reason_code();
                Ok(Self::Closed(reason.map_or_else(
                    || "NormalDisconnection".into(),
                    |reason| reason.to_string(),
                )))
            }
            _ => Err(NotMqtt("it sent a packet that no broker sends")),
        }
    }

    fn message(protocol: Protocol, first: u8, body: &[u8]) -> Result<Self, NotMqtt> {
        let broken = |_: MqttError| NotMqtt("it sent a message that is damaged");
        let message = match protocol {
            Protocol::V3 => Published::V3(v3_1_1::Publish::parse(first & 0xf, body.into()).map_err(broken)?.0),
            Protocol::V5 => Published::V5(v5_0::Publish::parse(first & 0xf, body.into()).map_err(broken)?.0),
        };
        match (first >> 1 & 3, message.id()) {
            (0, None) | (1, Some(1..)) => Ok(Self::Message(message)),
            (1, _) => Err(NotMqtt("it sent a message with the number 0")),
            _ => Err(NotMqtt(
                "it sent a message of a quality of service that was not asked for",
            )),
        }
    }
}

fn refusal_3(code: ConnectReturnCode) -> Option<Refusal> {
    match code {
        ConnectReturnCode::Accepted => None,
        ConnectReturnCode::UnacceptableProtocolVersion => Some(Refusal::Version),
        ConnectReturnCode::IdentifierRejected => Some(Refusal::ClientId),
        ConnectReturnCode::ServerUnavailable => Some(Refusal::Other("it is not available")),
        ConnectReturnCode::BadUserNameOrPassword | ConnectReturnCode::NotAuthorized => Some(Refusal::Login),
    }
}

fn refusal_5(code: ConnectReasonCode) -> Option<Refusal> {
    match code {
        ConnectReasonCode::Success => None,
        ConnectReasonCode::UnsupportedProtocolVersion => Some(Refusal::Version),
        ConnectReasonCode::ClientIdentifierNotValid => Some(Refusal::ClientId),
        ConnectReasonCode::BadUserNameOrPassword | ConnectReasonCode::NotAuthorized => Some(Refusal::Login),
        ConnectReasonCode::ServerUnavailable => Some(Refusal::Other("it is not available")),
        ConnectReasonCode::ServerBusy => Some(Refusal::Other("it is busy")),
        ConnectReasonCode::Banned => Some(Refusal::Other("it has banned this client")),
        ConnectReasonCode::QuotaExceeded => Some(Refusal::Other("a quota is exceeded")),
        ConnectReasonCode::UseAnotherServer | ConnectReasonCode::ServerMoved => {
            Some(Refusal::Other("it has moved to another server"))
        }
        _ => Some(Refusal::Other("it does not say why")),
    }
}

fn granted(code: u8) -> Granted {
    match code {
        0 => Granted::AtMostOnce,
        1 | 2 => Granted::AtLeastOnce,
        _ => Granted::Refused,
    }
}

/// The first packet of a connection.
pub(super) fn connect(
    config: &Config,
    client_id: &str,
    login: Option<(&str, Option<&str>)>,
) -> Result<Vec<u8>, MqttError> {
    // MQTT counts whole seconds; sessions that expire take part from version 5 on.
    let keep_alive = config.keep_alive.as_secs() as u16;
    macro_rules! connect {
        ($version:ident) => {{
            let mut builder = $version::Connect::builder()
                .client_id(client_id)?
                .keep_alive(keep_alive);
            if let Some((username, password)) = login {
                builder = builder.user_name(username)?;
                if let Some(password) = password {
                    builder = builder.password(password)?;
                }
            }
            builder
        }};
    }
    Ok(match config.protocol {
        Protocol::V3 => connect!(v3_1_1)
            .clean_session(!config.persistent)
            .build()?
            .to_continuous_buffer(),
        Protocol::V5 => {
            let mut properties: Vec<Property> = vec![ReceiveMaximum::new(config.most_undelivered)?.into()];
            if config.persistent {
                properties.push(SessionExpiryInterval::new(config.session_expiry.as_secs() as u32)?.into());
            }
            connect!(v5_0)
                .clean_start(!config.persistent)
                .props(properties)
                .build()?
                .to_continuous_buffer()
        }
    })
}

/// Asks for messages of these topics.
pub(super) fn subscribe(protocol: Protocol, filters: &[String], acknowledged: bool) -> Result<Vec<u8>, MqttError> {
    let qos = match acknowledged {
        true => Qos::AtLeastOnce,
        false => Qos::AtMostOnce,
    };
    let entries = filters
        .iter()
        .map(|filter| SubEntry::new(filter, SubOpts::new().set_qos(qos)));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    Ok(match protocol {
        Protocol::V3 => v3_1_1::Subscribe::builder()
            .packet_id(SUBSCRIBE_ID)
            .entries(entries)
            .build()?
            .to_continuous_buffer(),
        Protocol::V5 => v5_0::Subscribe::builder()
            .packet_id(SUBSCRIBE_ID)
            .entries(entries)
            .build()?
            .to_continuous_buffer(),
    })
}

/// Asks for no more messages of these topics.
pub(super) fn unsubscribe(protocol: Protocol, filters: &[String]) -> Result<Vec<u8>, MqttError> {
    Ok(match protocol {
        Protocol::V3 => {
            let builder = v3_1_1::Unsubscribe::builder().packet_id(UNSUBSCRIBE_ID);
            builder.entries(filters.to_vec())?.build()?.to_continuous_buffer()
        }
        Protocol::V5 => {
            let builder = v5_0::Unsubscribe::builder().packet_id(UNSUBSCRIBE_ID);
            builder.entries(filters.to_vec())?.build()?.to_continuous_buffer()
        }
    })
}

/// Acknowledges the message with this number: the same four bytes in both versions.
pub(super) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::frames::{Frame, Frames};
    use super::*;

    /// The packets in these bytes, until they are no MQTT.
    fn packets(protocol: Protocol, bytes: &[u8]) -> Result<Vec<Packet>, NotMqtt> {
        let mut frames = Frames::new(1_000);
        frames.feed(bytes);
        let mut packets = Vec::new();
        while let Some(frame) = frames.next()? {
            if let Frame::Packet { first, body } = frame {
                packets.push(Packet::read(protocol, first, body)?);
            }
        }
        Ok(packets)
    }

    #[test]
    fn what_brokers_say_is_understood_in_both_versions() {
        for (protocol, bytes, expected) in [
            (Protocol::V3, &[0x20, 2, 1, 0][..], "Accepted { session: true }"),
            (Protocol::V3, &[0x20, 2, 0, 4], "Refused(Login)"),
            (Protocol::V3, &[0x20, 2, 0, 1], "Refused(Version)"),
            (
                Protocol::V3,
                &[0x90, 4, 0, 1, 1, 0x80],
                "Subscribed([AtLeastOnce, Refused])",
            ),
            (Protocol::V3, &[0xd0, 0], "Answer"),
            (Protocol::V5, &[0x20, 3, 0, 0, 0], "Accepted { session: false }"),
            (Protocol::V5, &[0x20, 3, 0, 0x86, 0], "Refused(Login)"),
            (Protocol::V5, &[0x20, 3, 0, 0x85, 0], "Refused(ClientId)"),
            (
                Protocol::V5,
                &[0x90, 5, 0, 1, 0, 0, 0x87],
                "Subscribed([AtMostOnce, Refused])",
            ),
            (Protocol::V5, &[0xe0, 1, 0x8e], "Closed(\"SessionTakenOver\")"),
        ] {
            let packets = packets(protocol, bytes).unwrap();
            assert_eq!(format!("{packets:?}"), format!("[{expected}]"));
        }
    }

    #[test]
    fn messages_keep_topic_payload_and_number() {
        let bytes = [0x33, 8, 0, 3, b'a', b'/', b'b', 0, 7, b'!'];
        let [Packet::Message(message)] = &packets(Protocol::V3, &bytes).unwrap()[..] else {
            panic!("no message")
        };
        assert_eq!(
            (message.topic(), message.payload(), message.id()),
            ("a/b", &b"!"[..], Some(7))
        );
        assert!(message.is_retained());
        for (bytes, reason) in [
            (&[0x32, 5, 0, 1, b'a', 0, 0][..], "number 0"),
            (&[0x34, 5, 0, 1, b'a', 0, 1], "quality of service"),
            (&[0x30, 3, 0, 9, b'a'], "damaged"),
            (&[0x50, 2, 0, 1], "no broker sends"),
        ] {
            let error = packets(Protocol::V3, bytes).unwrap_err();
            assert!(error.to_string().contains(reason), "{bytes:?}: {error}");
        }
    }

    proptest! {
        /// A hostile broker can end the connection, and nothing else.
        #[test]
        fn any_bytes_are_packets_or_refused(
            first in any::<u8>(),
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            known in prop_oneof![Just(0x20_u8), Just(0x30), Just(0x32), Just(0x90), Just(0xe0), Just(0xd0)],
            is_known: bool,
        ) {
            let first = if is_known { known } else { first };
            let mut framed = vec![first, bytes.len() as u8];
            framed.extend_from_slice(&bytes);
            for protocol in [Protocol::V3, Protocol::V5] {
                let _ = packets(protocol, &framed);
                let _ = packets(protocol, &bytes);
            }
        }
    }
}
