//! An endpoint that does no work, for benchmarks: it counts records and their bytes by looking for two marks in the body,
//! and answers that all were accepted.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use memchr::memmem::Finder;
use serde::Serialize;

/// What a blind endpoint saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// PutRecord and PutRecords.
    pub requests: u64,
    /// The records in them.
    pub records: u64,
    /// The bytes of their data, before base64.
    pub data_bytes: u64,
    /// PUT payload units of 25 KB that Kinesis would charge.
    /// <https://aws.amazon.com/kinesis/data-streams/pricing/>
    pub payload_units: u64,
}

/// Kinesis charges a record by units of so many bytes.
const PAYLOAD_UNIT_BYTES: u64 = 25_600;

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    records: AtomicU64,
    data_bytes: AtomicU64,
    payload_units: AtomicU64,
}

/// A running one; it ends with the process.
#[derive(Debug)]
pub struct Blind {
    address: SocketAddr,
    counts: Arc<Counts>,
}

impl Blind {
    /// Listens on this port of 127.0.0.1; 0 takes a free one.
    pub fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::Builder::new().name("blind-endpoint".into()).spawn(move || {
            for connection in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                // A client that breaks off ends its own thread only.
                thread::spawn(move || serve(&connection, &counts));
            }
        })?;
        Ok(Self { address, counts })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Seen {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Seen {
            requests: read(&self.counts.requests),
            records: read(&self.counts.records),
            data_bytes: read(&self.counts.data_bytes),
            payload_units: read(&self.counts.payload_units),
        }
    }
}

/// What a request asks for, as far as it matters here.
enum Target {
    PutRecords,
    PutRecord,
    Describe,
}

fn serve(connection: &TcpStream, counts: &Counts) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 18, connection);
    let mut writer = connection;
    let (mut line, mut body, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let mut length = 0;
        let mut target = Target::PutRecords;
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let header = line.trim_ascii_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(bytes) = header.strip_prefix(b"content-length:") {
                let bytes = str::from_utf8(bytes).unwrap_or_default().trim();
                length = bytes.parse().map_err(io::Error::other)?;
            } else if header.starts_with(b"x-amz-target:") {
                target = match () {
                    () if header.ends_with(b".putrecords") => Target::PutRecords,
                    () if header.ends_with(b".putrecord") => Target::PutRecord,
                    () => Target::Describe,
                };
            } else if header.starts_with(b"expect:") {
                writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
        }
        body.resize(length, 0);
        io::Read::read_exact(&mut reader, &mut body)?;
        answer.clear();
        reply(&target, &body, counts, &mut answer);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        answer.splice(..0, head.into_bytes());
        writer.write_all(&answer)?;
    }
}

fn reply(target: &Target, body: &[u8], counts: &Counts, answer: &mut Vec<u8>) {
    const ACCEPTED: &[u8] = br#"{"SequenceNumber":"49543463076548007577105092703039560359975228518395012686"}"#;
    match target {
        Target::Describe => answer.extend_from_slice(
            br#"{"StreamDescriptionSummary":{"StreamName":"readings","StreamARN":"arn:aws:kinesis:eu-central-1:000000000000:stream/readings","StreamStatus":"ACTIVE","RetentionPeriodHours":24,"StreamCreationTimestamp":1.7e9,"EnhancedMonitoring":[],"OpenShardCount":1}}"#,
        ),
        Target::PutRecord => {
            count(body, counts);
            answer.extend_from_slice(ACCEPTED);
        }
        Target::PutRecords => {
            let records = count(body, counts);
            answer.extend_from_slice(br#"{"FailedRecordCount":0,"Records":["#);
            for record in 0..records {
                answer.extend_from_slice(if record == 0 { b"" } else { b"," });
                answer.extend_from_slice(ACCEPTED);
            }
            answer.extend_from_slice(b"]}");
        }
    }
}

/// Counts the records of a body: how many there are.
fn count(body: &[u8], counts: &Counts) -> u64 {
    let mark = Finder::new(b"\"Data\":");
    let (mut records, mut data_bytes, mut payload_units) = (0, 0, 0);
    for at in mark.find_iter(body) {
        let text = &body[at + 7..];
        let Some(open) = memchr::memchr(b'"', text) else { break };
        let text = &text[open + 1..];
        let text = &text[..memchr::memchr(b'"', text).unwrap_or(text.len())];
        let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
        let bytes = (text.len() / 4 * 3 - padding) as u64;
        records += 1;
        data_bytes += bytes;
        payload_units += bytes.div_ceil(PAYLOAD_UNIT_BYTES);
    }
    counts.requests.fetch_add(1, Ordering::Relaxed);
    counts.records.fetch_add(records, Ordering::Relaxed);
    counts.data_bytes.fetch_add(data_bytes, Ordering::Relaxed);
    counts.payload_units.fetch_add(payload_units, Ordering::Relaxed);
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_their_bytes_are_counted() {
        let counts = Counts::default();
        let body = br#"{"Records":[{"Data":"aGVsbG8=","PartitionKey":"k"},{"Data": "aGk=","PartitionKey":"k"}]}"#;
        let mut answer = Vec::new();
        reply(&Target::PutRecords, body, &counts, &mut answer);
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("an answer is JSON");
        assert_eq!(answer["Records"].as_array().map(Vec::len), Some(2));
        assert_eq!(counts.data_bytes.load(Ordering::Relaxed), 7);
        assert_eq!(counts.payload_units.load(Ordering::Relaxed), 2);
    }
}
