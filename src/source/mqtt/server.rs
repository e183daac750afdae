//! Where a broker listens: `tcp://host:1883`, `ssl://host:8883`.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::ServerName;

const PLAIN: [&str; 2] = ["tcp", "mqtt"];
const ENCRYPTED: [&str; 3] = ["ssl", "tls", "mqtts"];

/// A broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Server {
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Server {
    /// Reads one, or says what is wrong with it and how to mend that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "write it as tcp://HOST:1883, or ssl://HOST:8883 for TLS";
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| format!("{text:?} has no scheme: {example}"))?;
        let tls = match scheme {
            _ if PLAIN.contains(&scheme) => false,
            _ if ENCRYPTED.contains(&scheme) => true,
            _ => return Err(format!("{text:?} has the unknown scheme {scheme:?}: {example}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(format!(
                "a server has a user in it: set username and password_file instead; {example}"
            ));
        }
        let no_port = || format!("{text:?} has no usable port: {example}");
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(no_port)?;
                match after {
                    "" => (host, None),
                    _ => (host, Some(after.strip_prefix(':').ok_or_else(no_port)?)),
                }
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if ServerName::try_from(host).is_err() {
            return Err(format!("{text:?} names no host: {example}"));
        }
        let port = match port {
            None if tls => 8883,
            None => 1883,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(no_port)?,
        };
        Ok(Self {
            host: host.into(),
            port,
            tls,
        })
    }

    /// True where what is sent to it does not leave this machine.
    pub fn is_here(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn schemes_and_ports_as_people_write_them() {
        for (text, shown) in [
            ("tcp://127.0.0.1:1884", "tcp://127.0.0.1:1884"),
            ("mqtt://broker", "tcp://broker:1883"),
            ("ssl://broker.example/", "ssl://broker.example:8883"),
            ("mqtts://[::1]:9", "ssl://[::1]:9"),
            ("tls://[::1]", "ssl://[::1]:8883"),
        ] {
            assert_eq!(Server::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_an_example() {
        for text in [
            "broker:1883",
            "http://a:1",
            "tcp://a:0",
            "tcp://a:x",
            "tcp://:1",
            "tcp://[::1",
            "tcp://u:p@a",
            "tcp://",
        ] {
            let error = Server::parse(text).unwrap_err();
            assert!(error.contains("tcp://HOST:1883"), "{text}: {error}");
        }
        assert!(!Server::parse("tcp://u:secret@a").unwrap_err().contains("secret"));
    }

    #[test]
    fn loopback_is_here() {
        for (text, here) in [
            ("tcp://127.9.9.9", true),
            ("tcp://[::1]", true),
            ("tcp://localhost", true),
            ("tcp://localhost.example", false),
            ("tcp://10.0.0.1", false),
        ] {
            assert_eq!(Server::parse(text).unwrap().is_here(), here, "{text}");
        }
    }
}
