use super::*;

fn value(scrape: &str, series: &str) -> f64 {
    scrape
        .lines()
        .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {series} in\n{scrape}"))
}

#[test]
fn a_scrape_holds_the_conservation_law_while_readings_move() {
    let ledger = Arc::new(Ledger::default());
    let metrics = Metrics::new(ledger.clone());
    std::thread::scope(|scope| {
        let mover = scope.spawn(|| {
            for _ in 0..20_000 {
                ledger.record(|counts| {
                    counts.produced += 3;
                    counts.in_flight += 3;
                });
                ledger.record(|counts| {
                    counts.in_flight -= 3;
                    counts.delivered += 1;
                    counts.spooled += 1;
                    counts.dropped[1] += 1;
                });
            }
        });
        while !mover.is_finished() {
            let scrape = metrics.render();
            let count = |name: &str| value(&scrape, &format!("temp_ingest_readings_{name} "));
            let dropped: f64 = DropReason::ALL
                .map(|reason| {
                    value(
                        &scrape,
                        &format!("temp_ingest_readings_dropped_total{{reason=\"{}\"}} ", reason.reason()),
                    )
                })
                .iter()
                .sum();
            assert_eq!(
                count("produced_total") + count("recovered_total"),
                count("delivered_total") + dropped + count("spooled") + count("in_flight"),
            );
        }
    });
    assert_eq!(
        value(&metrics.render(), "temp_ingest_readings_produced_total "),
        60_000.0
    );
}

#[test]
fn every_metric_is_there_from_the_start_but_those_whose_labels_are_not_known_yet() {
    let scrape = Metrics::new(Arc::default()).render();
    for metric in ALL {
        let later = ["shard", "source"].iter().any(|label| metric.labels.contains(label));
        assert_eq!(
            scrape.contains(&format!("\n{}", metric.name)),
            !later,
            "{} in\n{scrape}",
            metric.name
        );
    }
}

#[test]
fn requests_are_counted_by_outcome_and_refusals_by_code() {
    let metrics = Metrics::new(Arc::default());
    let took = Duration::from_millis(30);
    metrics.put(took, &Ok(vec![Answer::Accepted(None), Answer::Accepted(None)]));
    metrics.put(
        took,
        &Ok(vec![Answer::Accepted(None), Answer::Refused("InternalFailure")]),
    );
    metrics.put(took, &Ok(vec![Answer::Refused("InternalFailure")]));
    metrics.put(
        took,
        &Err(PutError::Transient {
            kind: "timeout",
            message: String::new(),
        }),
    );
    metrics.delivered(3);
    let scrape = metrics.render();
    for (series, expected) in [
        ("temp_ingest_requests_total{outcome=\"accepted\"} ", 1.0),
        ("temp_ingest_requests_total{outcome=\"partial\"} ", 1.0),
        ("temp_ingest_requests_total{outcome=\"refused\"} ", 1.0),
        ("temp_ingest_requests_total{outcome=\"timeout\"} ", 1.0),
        ("temp_ingest_refusals_total{code=\"InternalFailure\"} ", 2.0),
        ("temp_ingest_records_delivered_total ", 3.0),
        ("temp_ingest_put_duration_seconds_bucket{le=\"0.02\"} ", 0.0),
        ("temp_ingest_put_duration_seconds_bucket{le=\"0.05\"} ", 4.0),
        ("temp_ingest_put_duration_seconds_count ", 4.0),
    ] {
        assert_eq!(value(&scrape, series), expected, "{series}");
    }
}

#[test]
fn the_age_of_the_oldest_unsent_reading_grows_until_it_is_sent() {
    let metrics = Metrics::new(Arc::default());
    let age = || value(&metrics.render(), "temp_ingest_oldest_unsent_reading_age_seconds ");
    assert_eq!(age(), 0.0);
    metrics.oldest_unsent(Timestamp::from_micros(clock::now().as_micros() - 90_000_000));
    assert!(age() >= 90.0);
    metrics.oldest_unsent(None);
    assert_eq!(age(), 0.0);
}

#[test]
fn pace_memory_spool_and_malformed_are_labelled() {
    let metrics = Metrics::new(Arc::default());
    metrics.pace("shardId-000000000001", 250_000.0);
    metrics.memory(5, 7);
    metrics.spool(11, 13);
    metrics.malformed("history", 2);
    metrics.broker_connected("broker", true);
    metrics.broker_reconnected("broker", 3);
    metrics.broker_messages("broker", "readings", 17);
    metrics.http_answered("posts", 200);
    metrics.http_answered("posts", 200);
    let scrape = metrics.render();
    for (series, expected) in [
        (
            "temp_ingest_shard_pace_bytes_per_second{shard=\"shardId-000000000001\"} ",
            250_000.0,
        ),
        ("temp_ingest_memory_bytes{budget=\"used\"} ", 5.0),
        ("temp_ingest_memory_bytes{budget=\"limit\"} ", 7.0),
        ("temp_ingest_spool_bytes{budget=\"used\"} ", 11.0),
        ("temp_ingest_spool_bytes{budget=\"limit\"} ", 13.0),
        ("temp_ingest_malformed_total{source=\"history\"} ", 2.0),
        ("temp_ingest_mqtt_connected{source=\"broker\"} ", 1.0),
        ("temp_ingest_mqtt_reconnects_total{source=\"broker\"} ", 3.0),
        (
            "temp_ingest_mqtt_messages_total{source=\"broker\",outcome=\"readings\"} ",
            17.0,
        ),
        ("temp_ingest_http_requests_total{source=\"posts\",status=\"200\"} ", 2.0),
    ] {
        assert_eq!(value(&scrape, series), expected, "{series}");
    }
}
