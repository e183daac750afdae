//! A client that sees every byte: requests as they are written, answers as they come.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::PATIENCE;

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// One connection.
pub struct Client<S = TcpStream> {
    stream: BufReader<S>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Writes bytes as they are. What breaks here shows in the answer.
    pub fn write(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.stream.get_mut().write_all(bytes);
        let _ = self.stream.get_mut().flush();
        self
    }

    /// Posts readings, with further header lines.
    pub fn post(&mut self, headers: &[&str], body: &[u8]) -> Answer {
        self.write(&post(headers, body)).answer().expect("an answer")
    }

    /// The next answer; `None` where the connection ends instead.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let mut answer = Answer {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        answer.body = String::from_utf8(body).unwrap();
        Some(answer)
    }

    /// True once the server has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// The bytes of a request that posts readings.
pub fn post(headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut request = String::from("POST /readings HTTP/1.1\r\nhost: test\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n", body.len());
    [request.as_bytes(), body].concat()
}

/// Posts readings on a connection of their own.
pub fn post_to(address: SocketAddr, headers: &[&str], body: &[u8]) -> Answer {
    Client::connect(address).post(headers, body)
}

/// One reading of `sensor`, whose value tells it from others.
pub fn reading(sensor: &str, number: u32) -> String {
    let (minute, second) = (number / 60 % 60, number % 60);
    let hour = number / 3600;
    format!(
        "{{\"sensor\":\"{sensor}\",\"time\":\"2026-05-01T{hour:02}:{minute:02}:{second:02}Z\",\"kind\":\"k\",\"value\":{number}}}"
    )
}

/// So many readings, a line each.
pub fn lines(sensor: &str, numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| reading(sensor, number) + "\n").collect()
}

/// Bytes, packed as small as gzip can.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
