//! Any bytes as a table: the replayed file of a source, and the history of a backtest. Nothing panics; what a source reads
//! is written and read again as it was; a backtest writes a row for each row.
#![no_main]

use libfuzzer_sys::fuzz_target;
use temp_ingest::cli::backtest::{self, Options, Watched, columns, table};
use temp_ingest::source::table::{Described, Table};

/// The lines as the sources `replay` and `stdin` read them.
fn replayed(text: &[u8]) {
    let described = Described {
        sensor: "alone".to_owned(),
        datatype: "load".to_owned(),
        unit: None,
        group: Some("rack".to_owned()),
    };
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let Some(mut table) = lines.next().and_then(|header| Table::new(header, described)) else {
        return;
    };
    for reading in lines.filter_map(|line| table.read(line).ok()) {
        let mut written = Vec::new();
        wire::json::encode(&reading, None, &mut written);
        let again = wire::json::Decoder::new().decode(&written).expect("what is written can be read");
        assert_eq!(again.reading, reading);
    }
}

fuzz_target!(|text: &[u8]| {
    replayed(text);
    let options = Options {
        path: "history.csv".to_owned(),
        wanted: columns::Wanted::default(),
        described: table::Described {
            sensor: "alone".to_owned(),
            kind: None,
        },
        zone: "UTC".parse().expect("UTC is a zone"),
    };
    let nobody = Watched::<Vec<u8>> {
        progress: None,
        plot: None,
    };
    let mut scored = Vec::new();
    let judged = backtest::backtest(text, &options, &detect::Settings::default(), nobody, || Ok(&mut scored));
    if let Ok(summary) = judged {
        let mut rows = csv::Reader::from_reader(scored.as_slice());
        assert_eq!(rows.byte_records().count() as u64, summary.rows);
    }
});
