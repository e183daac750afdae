//! How far a backtest has come, on one line of a terminal that is written anew.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::summary::counted;

/// The clock is asked after so many rows.
const ROWS: u64 = 4_096;
/// The line is written anew after so long.
const PAUSE: Duration = Duration::from_millis(200);
/// To the beginning of the line, and nothing on it.
const CLEAR: &str = "\r\x1b[K";

/// The line. It is written only after the first pause, so that short histories have none.
#[derive(Debug)]
pub struct Progress<W> {
    out: W,
    /// Bytes of the whole history, where that is known.
    size: Option<u64>,
    start: Instant,
    last: Instant,
    shown: bool,
}

impl<W: Write> Progress<W> {
    /// On a terminal, for a history of so many bytes.
    pub fn new(out: W, size: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            out,
            size,
            start: now,
            last: now,
            shown: false,
        }
    }

    /// So many rows and bytes were read, and so many incidents found.
    pub(super) fn tell(&mut self, rows: u64, bytes: u64, incidents: usize) -> io::Result<()> {
        if !rows.is_multiple_of(ROWS) || self.last.elapsed() < PAUSE {
            return Ok(());
        }
        self.last = Instant::now();
        self.shown = true;
        let line = line(self.size, self.start.elapsed(), rows, bytes, incidents);
        write!(self.out, "{CLEAR}{line}")?;
        self.out.flush()
    }

    /// Takes the line away.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if self.shown {
            write!(self.out, "{CLEAR}")?;
            self.out.flush()?;
        }
        Ok(())
    }
}

fn line(size: Option<u64>, elapsed: Duration, rows: u64, bytes: u64, incidents: usize) -> String {
    let percent = size.filter(|size| *size > 0).map_or(String::new(), |size| {
        let percent = bytes.min(size) as f64 / size as f64 * 100.0;
        format!("{percent:3.0} %, ")
    });
    let pace = rows as f64 / elapsed.as_secs_f64().max(1e-3);
    format!(
        "{percent}{}, {} a second, {}",
        counted(rows, "row"),
        counted(pace as u64, "row"),
        counted(incidents as u64, "incident")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_has_come() {
        let second = Duration::from_secs(2);
        assert_eq!(
            line(Some(4_000), second, 12_288, 1_000, 1),
            " 25 %, 12,288 rows, 6,144 rows a second, 1 incident"
        );
        assert_eq!(
            line(None, Duration::ZERO, 1, 0, 0),
            "1 row, 1,000 rows a second, 0 incidents"
        );
    }

    #[test]
    fn nothing_is_written_of_a_short_history() -> io::Result<()> {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, None);
        for rows in 1..ROWS {
            progress.tell(rows, rows, 0)?;
        }
        progress.end()?;
        assert!(out.is_empty());
        Ok(())
    }
}
