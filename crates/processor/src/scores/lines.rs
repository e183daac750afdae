//! Every reading with its score as a line of JSON, many to a record.

use serde_json::{Map, Value};

use super::Scored;

/// Kinesis charges in steps of 25 KB: <https://aws.amazon.com/kinesis/data-streams/pricing/>.
const RECORD_BYTES: usize = 25_000;

/// Lines of JSON, packed into records; a line is never split.
pub fn records(scores: &[Scored]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut data = Vec::new();
    let mut line = Vec::new();
    for scored in scores {
        line.clear();
        write_line(scored, &mut line);
        if !data.is_empty() && data.len() + line.len() > RECORD_BYTES {
            records.push(std::mem::take(&mut data));
        }
        data.extend_from_slice(&line);
    }
    if !data.is_empty() {
        records.push(data);
    }
    records
}

/// The reading in the form it came in, and its score.
fn write_line(scored: &Scored, line: &mut Vec<u8>) {
    wire::json::encode(&scored.reading, None, line);
    let mut more = Map::new();
    match scored.score {
        // More than four decimals mean nothing.
        Some(score) => more.insert("anomaly_score".to_owned(), ((score * 1e4).round() / 1e4).into()),
        None => more.insert("late".to_owned(), true.into()),
    };
    if let Some((lowest, highest)) = scored.expected {
        more.insert("expected_lowest".to_owned(), lowest.into());
        more.insert("expected_highest".to_owned(), highest.into());
    }
    if !scored.kinds.is_empty() {
        let kinds = scored.kinds.joined(scored.reading.sensor().kind(), ",");
        more.insert("anomalyType".to_owned(), kinds.into());
    }
    let more = Value::from(more).to_string();
    // Joins two objects.
    line.pop();
    line.push(b',');
    line.extend_from_slice(&more.as_bytes()[1..]);
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use std::sync::Arc;

    use detect::Kinds;
    use wire::{Reading, Sensor};

    use super::*;

    fn scored(score: Option<f64>) -> Scored {
        let sensor = Arc::new(Sensor::new("DHT_001", "Temperature"));
        let time = "2024-05-01 10:00:00".parse().unwrap();
        Scored {
            reading: Reading::new(sensor, time, wire::Value::Scalar(104.2)).unwrap(),
            score,
            expected: score.map(|_| (96.0, 101.5)),
            kinds: if score.is_some() { Kinds::ABOVE } else { Kinds::NONE },
        }
    }

    #[test]
    fn a_line_is_the_reading_and_its_score() {
        let mut line = Vec::new();
        write_line(&scored(Some(3.123_456)), &mut line);
        write_line(&scored(None), &mut line);
        let lines: Vec<Value> = line
            .split(|byte| *byte == b'\n')
            .take(2)
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(
            (&lines[0]["sensor"], &lines[0]["value"]),
            (&"DHT_001".into(), &104.2.into())
        );
        assert_eq!(
            (&lines[0]["anomaly_score"], &lines[0]["anomalyType"]),
            (&3.1235.into(), &"Hot".into())
        );
        assert_eq!(lines[0]["expected_highest"], 101.5);
        assert_eq!((&lines[1]["late"], lines[1].get("anomaly_score")), (&true.into(), None));
    }

    #[test]
    fn records_hold_whole_lines_and_are_of_one_payload_unit() {
        let records = records(&vec![scored(Some(0.1)); 1_000]);
        assert!(
            records.len() > 1
                && records
                    .iter()
                    .all(|data| data.len() <= RECORD_BYTES && data.ends_with(b"}\n"))
        );
        let lines: usize = records
            .iter()
            .map(|data| data.iter().filter(|byte| **byte == b'\n').count())
            .sum();
        assert_eq!(lines, 1_000);
    }
}
