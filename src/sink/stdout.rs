//! Writes readings to standard output, one JSON object a line: what a stream's consumer would see.

use std::io::{ErrorKind, Write};
use std::sync::Arc;

use delivery::record::Record;
use delivery::sink::{Answer, Put, PutError, Sink};

/// Writes the readings of each record as lines.
#[derive(Debug, Default)]
pub struct Stdout;

impl Sink for Stdout {
    fn put<'a>(&'a self, records: &'a [Arc<Record>]) -> Put<'a> {
        Box::pin(async move {
            let records = records.to_vec();
            let count = records.len();
            let written = tokio::task::spawn_blocking(move || write(&mut std::io::stdout().lock(), &records)).await;
            match written {
                Ok(Ok(())) => Ok(vec![Answer::Accepted(None); count]),
                Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Err(PutError::Fatal {
                    message: "standard output is closed: its reader has ended".to_owned(),
                }),
                Ok(Err(error)) => Err(PutError::Transient {
                    kind: "write",
                    message: format!("writing to standard output: {error}"),
                }),
                Err(error) => Err(PutError::Fatal {
                    message: format!("writing to standard output: {error}"),
                }),
            }
        })
    }
}

fn write(out: &mut impl Write, records: &[Arc<Record>]) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for record in records {
        match wire::aggregate::deaggregate(&record.data) {
            Ok(aggregate) => {
                for inner in aggregate.records().filter_map(Result::ok) {
                    lines.extend_from_slice(inner.data);
                    lines.push(b'\n');
                }
            }
            Err(_) => {
                lines.extend_from_slice(&record.data);
                lines.push(b'\n');
            }
        }
    }
    out.write_all(&lines)?;
    out.flush()
}
