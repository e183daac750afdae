#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use proptest::prelude::*;

use super::*;

fn load(rate: f64, size: u32) -> Load {
    Load {
        rate,
        size,
        ..Load::default()
    }
}

fn column(estimate: &Estimate, way: Way, mode: Mode) -> &Column {
    let mut columns = estimate.columns.iter();
    columns.find(|column| (column.way, column.mode) == (way, mode)).unwrap()
}

#[track_caller]
fn near(actual: f64, expected: f64) {
    let off = (actual - expected).abs();
    assert!(off <= expected.abs() * 1e-4 + 1e-9, "{actual} is not {expected}");
}

fn refused(change: impl FnOnce(&mut Load)) -> String {
    let mut load = load(1_000.0, 100);
    change(&mut load);
    estimate(&load).unwrap_err().to_string()
}

/// Worked out by hand, from the format, the design and the price pages.
#[test]
fn a_thousand_sensors_aggregated_in_a_provisioned_stream() {
    let estimate = estimate(&load(1_000.0, 100)).unwrap();
    let column = column(&estimate, Way::Aggregated, Mode::Provisioned);
    let Quantities {
        shards,
        records_per_second,
        readings_per_record,
        kb_per_second,
        put_payload_units,
        gb_written,
        invocations,
        write_units,
        read_units,
        messages,
        ..
    } = column.quantities;
    // 62.5 readings a second and lane, for half a second after the first.
    near(readings_per_record, 32.25);
    near(records_per_second, 1_000.0 / 32.25);
    // 231 bytes with the first reading and the partition key, 108 for each further one.
    near(kb_per_second, 1_000.0 / 32.25 * (231.0 + 31.25 * 108.0) / 1024.0);
    near(shards, 1.0);
    near(put_payload_units, 1_000.0 / 32.25 * 2_628_000.0);
    near(gb_written, 0.0);
    // One a second, and the alert function for 1,000 anomalies and 200 incidents a day.
    near(invocations, (1.0 + 1_200.0 / 86_400.0) * 2_628_000.0);
    // 16 entries of a unit; checkpoints of 144 units every 576; an anomaly a unit, an incident 31.
    let alerts = (1_000.0 + 200.0 * 31.0) / 86_400.0;
    near(write_units, (16.0 * 1.25 + alerts) * 2_628_000.0);
    // Each page every two hours: 147,400 bytes and half of 576 units, in 108 units of 4 KB; a mute is read each moment.
    near(read_units, (16.0 * 108.0 / 7_200.0 + 600.0 / 86_400.0) * 2_628_000.0);
    near(messages, 600.0 / 86_400.0 * 2_628_000.0);
    let dollars = column.dollars;
    near(dollars.kinesis, 730.0 * 0.015 + put_payload_units * 0.014e-6);
    near(dollars.sns, messages * (0.5e-6 + 2e-5));
    let sum = dollars.kinesis + dollars.lambda + dollars.dynamodb + dollars.sns + dollars.cloudwatch;
    near(dollars.total, sum);
}

#[test]
fn what_lambda_and_logs_cost_is_worked_out_by_hand() {
    let mut load = load(1_000.0, 100);
    load.anomalies_per_day = Some(0.0);
    let estimate = estimate(&load).unwrap();
    let column = column(&estimate, Way::Aggregated, Mode::Provisioned);
    // 12 ms, one round of writes of 8 ms, 1,000 readings of 5 µs at 256 of 1,769 MB: 55 whole milliseconds.
    near(column.quantities.gb_seconds, 2_628_000.0 * 0.055 / 4.0);
    near(
        column.dollars.lambda,
        2.628 * 0.20 + 2_628_000.0 * 0.055 / 4.0 * 0.000_016_666_7,
    );
    let gb = 2_628_000.0 * 1_800.0 / 1024f64.powi(3);
    near(column.dollars.cloudwatch, gb * 0.53 + 15.0 * 0.30 + 17.0 * 0.10);
    near(column.dollars.sns, 0.0);
}

#[test]
fn a_thousand_sensors_plain_cost_a_write_a_reading() {
    let estimate = estimate(&load(1_000.0, 100)).unwrap();
    let column = column(&estimate, Way::Plain, Mode::Provisioned);
    near(column.quantities.records_per_second, 1_000.0);
    // The identity takes 47 bytes, the partition key 10.
    near(column.quantities.kb_per_second, 157_000.0 / 1024.0);
    near(column.quantities.shards, 1.0);
    near(column.quantities.put_payload_units, 2.628e9);
    // Entries of a unit, checkpoints of 3 units every 64 of them.
    let alerts = (1_000.0 + 200.0 * 31.0) / 86_400.0;
    near(
        column.quantities.write_units,
        (1_000.0 * (1.0 + 3.0 / 64.0) + alerts) * 2_628_000.0,
    );
}

#[test]
fn a_stream_on_demand_is_paid_for_by_whole_kilobytes() {
    let estimate = estimate(&load(1_000.0, 100)).unwrap();
    let aggregated = column(&estimate, Way::Aggregated, Mode::OnDemand);
    let gb = 1_000.0 / 32.25 * 4.0 * 2_628_000.0 / 1024f64.powi(2);
    near(aggregated.quantities.gb_written, gb);
    near(aggregated.dollars.kinesis, 730.0 * 0.04 + gb * 0.12);
    near(aggregated.quantities.shards, 4.0);
    near(aggregated.quantities.put_payload_units, 0.0);
    let plain = column(&estimate, Way::Plain, Mode::OnDemand);
    near(plain.quantities.gb_written, 2.628e9 / 1024f64.powi(2));
}

#[test]
fn a_script_with_put_record_keeps_no_state_and_tells_every_anomaly() {
    let estimate = estimate(&load(1_000.0, 100)).unwrap();
    let column = column(&estimate, Way::Stateless, Mode::Provisioned);
    near(column.quantities.kb_per_second, 110_000.0 / 1024.0);
    near(column.quantities.write_units, 1_000.0 / 86_400.0 * 2_628_000.0);
    near(column.quantities.messages, 1_000.0 / 86_400.0 * 2_628_000.0);
    near(column.quantities.read_units, 0.0);
}

#[test]
fn full_records_take_one_unit_and_large_readings_several() {
    let full = estimate(&load(100_000.0, 100)).unwrap();
    let column_of_full = column(&full, Way::Aggregated, Mode::Provisioned).quantities;
    let records = column_of_full.records_per_second * 2_628_000.0;
    near(column_of_full.put_payload_units, records);
    // 236 readings: the first with its partition key takes up to 233 bytes of 25,600, each further one 108.
    near(
        column_of_full.readings_per_record,
        1.0 + ((25_600.0 - 233.0) / 108.0_f64).floor(),
    );
    let large = estimate(&load(1.0, 60_000)).unwrap();
    let large = column(&large, Way::Aggregated, Mode::Provisioned).quantities;
    // They share a record of up to 1 MiB: here 60,134 bytes and half of 60,012, four units.
    near(large.readings_per_record, 1.5);
    near(large.kb_per_second, (60_134.0 + 30_006.0) / 1.5 / 1024.0);
    near(large.put_payload_units, 4.0 / 1.5 * 2_628_000.0);
}

#[test]
fn shards_follow_records_bytes_and_lanes() {
    let shards = |load: &Load, way| {
        column(&estimate(load).unwrap(), way, Mode::Provisioned)
            .quantities
            .shards
    };
    assert_eq!(shards(&load(1_001.0, 100), Way::Plain), 2.0);
    assert_eq!(shards(&load(500.0, 3_000), Way::Plain), 2.0);
    // 10.9 MB a second over 64 lanes: five lanes a shard.
    let many = load(100_000.0, 100);
    assert_eq!(estimate(&many).unwrap().load.lanes, 64);
    assert_eq!(shards(&many, Way::Aggregated), 13.0);
    // Of 16 lanes one fills most of a shard.
    let few = Load {
        lanes: Some(16),
        ..many
    };
    assert_eq!(shards(&few, Way::Aggregated), 16.0);
}

#[test]
fn every_reading_in_a_table_is_paid_for() {
    let with = |days| {
        let load = Load {
            readings_days: days,
            ..load(10.0, 100)
        };
        column(&estimate(&load).unwrap(), Way::Aggregated, Mode::Provisioned).quantities
    };
    near(with(30).write_units - with(0).write_units, 10.0 * 2_628_000.0);
    near(
        with(30).table_gb - with(0).table_gb,
        10.0 * (130.0 + 15.0 + 100.0) * 30.0 * 86_400.0 / 1024f64.powi(3),
    );
}

#[test]
fn what_cannot_be_is_refused_by_name_with_its_range() {
    assert_eq!(
        refused(|load| load.rate = 0.0),
        "--rate 0: write a number from 0.001 to 10000000 readings a second"
    );
    assert!(refused(|load| load.rate = f64::NAN).starts_with("--rate NaN: write a number from 0.001"));
    assert!(refused(|load| load.rate = f64::INFINITY).starts_with("--rate inf: "));
    assert_eq!(
        refused(|load| load.size = 0),
        "--size 0: write a number from 1 to 1000000 bytes"
    );
    assert!(refused(|load| load.sensors = Some(0)).starts_with("--sensors 0: write a number from 1 "));
    assert!(refused(|load| load.memory = 64).starts_with("--memory 64: write a number from 128 to 10240 MB"));
    assert!(refused(|load| load.anomalies_per_day = Some(1e9)).contains("to 86400000 anomalies a day"));
    assert!(refused(|load| load.lanes = Some(24)).contains("power of two from 1 to 65536"));
    let one = refused(|load| {
        load.rate = 5_000.0;
        load.sensors = Some(1);
    });
    assert!(
        one.starts_with("--sensors 1: ") && one.ends_with("at least 5 sensors"),
        "{one}"
    );
    let lanes = refused(|load| {
        load.rate = 100_000.0;
        load.lanes = Some(8);
    });
    assert!(
        lanes.starts_with("--lanes 8: ") && lanes.contains("needs 11 shards"),
        "{lanes}"
    );
    let much = refused(|load| {
        load.rate = 10_000_000.0;
        load.size = 10_000;
    });
    assert!(much.starts_with("--rate 10000000 and --size 10000: "), "{much}");
}

/// What nothing is said about is as cfn/ has it.
#[test]
fn the_defaults_are_those_of_the_templates() {
    let template = include_str!("../../../cfn/detect.yaml");
    let default = |parameter: &str| -> u32 {
        let (_, rest) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
        let (_, rest) = rest.split_once("\n    Default: ").unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    let alarms = include_str!("../../../cfn/alarms.yaml");
    let all = alarms.matches("Type: AWS::CloudWatch::Alarm").count();
    // Log groups are an option, with an alarm of their own.
    let optional = alarms.matches("Condition: HasLogs\n").count();
    assert_eq!((all - optional) as f64, bill::ALARMS);
    let load = Load::default();
    assert_eq!(load.batch_size, default("BatchSize"));
    assert_eq!(load.batch_window, default("BatchWindowSeconds"));
    assert_eq!(load.parallelization, default("ParallelizationFactor"));
    assert_eq!(
        (load.memory, load.memory),
        (default("DetectMemory"), default("AlertMemory"))
    );
    assert_eq!(
        load.linger_ms,
        crate::config::Settings::default().linger.get().as_millis() as u32
    );
}

#[test]
fn warns_of_what_would_not_go_well() {
    assert_eq!(estimate(&load(1_000.0, 100)).unwrap().warnings, [""; 0]);
    let slow = Load {
        memory: 128,
        ..load(50_000.0, 10)
    };
    let warnings = estimate(&slow).unwrap().warnings.join("\n");
    assert!(
        warnings.contains("aggregated, provisioned stream: each function instance would be at work"),
        "{warnings}"
    );
    assert!(warnings.contains("raise --memory above 128"), "{warnings}");
}

#[test]
fn the_table_shows_every_way_and_mode() {
    let estimate = estimate(&load(1_000.0, 100)).unwrap();
    let mut text = Vec::new();
    write(&estimate, Format::Text, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.starts_with("1,000 readings a second of 1,000 sensors, 100 bytes each."),
        "{text}"
    );
    assert!(text.contains(&format!("us-east-1, {}", prices::DATE)), "{text}");
    assert_eq!(text.matches("$ a month").count(), 2);
    assert_eq!(
        (
            text.matches("PUT payload units").count(),
            text.matches("GB written").count()
        ),
        (1, 1)
    );
    assert!(
        text.lines()
            .all(|line| line.starts_with('-') || line.chars().count() <= 120),
        "{text}"
    );
    let mut json = Vec::new();
    write(&estimate, Format::Json, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["columns"].as_array().unwrap().len(), 6);
    assert_eq!(json["columns"][3]["mode"], "on_demand");
    assert_eq!(json["load"]["lanes"], 16);
}

fn figures(column: &Column) -> Vec<f64> {
    let object = |value: serde_json::Value| {
        value
            .as_object()
            .unwrap()
            .values()
            .map(|value| value.as_f64())
            .collect()
    };
    let quantities: Vec<Option<f64>> = object(serde_json::to_value(column.quantities).unwrap());
    let dollars: Vec<Option<f64>> = object(serde_json::to_value(column.dollars).unwrap());
    // What is not finite is written as null.
    quantities
        .into_iter()
        .chain(dollars)
        .map(|figure| figure.unwrap_or(f64::NAN))
        .collect()
}

/// Numbers from `least` to `most`, as many between 1 and 10 as between 10 and 100.
fn spread(least: f64, most: f64) -> impl Strategy<Value = f64> {
    (least.ln()..most.ln()).prop_map(f64::exp)
}

prop_compose! {
    fn any_load()(
        rate in prop_oneof![spread(1e-6, 1e9), Just(0.0), Just(-1.0)],
        size in prop_oneof![1u32..2_000, any::<u32>()],
        sensors in prop::option::of(prop_oneof![1u64..200_000, any::<u64>()]),
        lanes in prop::option::of(prop_oneof![(0u32..20).prop_map(|bits| 1 << bits), any::<u32>()]),
        batch in (0u32..11_000, 0u32..310, 0u32..12),
        memory in 0u32..11_000,
        linger_ms in 0u32..70_000,
        anomalies_per_day in prop::option::of(prop_oneof![spread(1e-3, 1e12), Just(-1.0)]),
        people in (0u32..1_100, 0u32..1_100),
        readings_days in 0u32..4_000,
    ) -> Load {
        Load {
            rate,
            size,
            sensors,
            lanes,
            linger_ms,
            batch_size: batch.0,
            batch_window: batch.1,
            parallelization: batch.2,
            memory,
            anomalies_per_day,
            emails: people.0,
            sms: people.1,
            readings_days,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_load_is_answered_with_figures_or_refused_by_name(load in any_load()) {
        match estimate(&load) {
            Err(refused) => {
                let text = refused.to_string();
                prop_assert!(text.starts_with("--") && text.contains("write ") || text.contains("lower one"), "{text}");
            }
            Ok(estimate) => for column in &estimate.columns {
                for figure in figures(column) {
                    prop_assert!(figure.is_finite() && figure >= 0.0, "{column:?}");
                }
                prop_assert!(column.quantities.shards >= 1.0);
            }
        }
    }

    /// But for what steps save: a further shard, or twice the lanes, may save more in the tables than it costs, a tenth at
    /// millions a second; and on demand each record is rounded up to 1 KB, so slightly smaller ones may save a KB.
    #[test]
    fn more_readings_never_cost_less_but_for_steps(
        rate in spread(1e-3, 1e5),
        times in spread(1.0, 3.0),
        size in 50u32..20_000,
    ) {
        // The same sensors: a further one would have each send a little less, and their busiest shard too.
        let sensors = Some(rate.ceil() as u64);
        let load = |rate| Load { sensors, ..load(rate, size) };
        let (Ok(less), Ok(more)) = (estimate(&load(rate)), estimate(&load(rate * times))) else {
            return Ok(());
        };
        for (less, more) in less.columns.iter().zip(&more.columns) {
            never_less(less, more)?;
        }
    }
}

/// Where more shards share the records, an invocation holds more of a partition key's, and fewer entries are written: at
/// most in that proportion.
fn never_less(less: &Column, more: &Column) -> Result<(), TestCaseError> {
    let rounding = if less.mode == Mode::OnDemand { 1.15 } else { 1.02 };
    let shared = more.quantities.shards / less.quantities.shards;
    let (a, b) = (less.dollars.total, more.dollars.total);
    prop_assert!(a <= b * rounding * shared.max(1.0), "{less:?} {more:?}");
    prop_assert!(less.quantities.shards <= more.quantities.shards);
    prop_assert!(less.quantities.records_per_second <= more.quantities.records_per_second * (1.0 + 1e-9));
    Ok(())
}

/// 16 shards become 19: entries fall by a tenth.
#[test]
fn a_step_of_shards_that_saves_writes() {
    let sensors = Some(45_933);
    let of = |rate| {
        estimate(&Load {
            sensors,
            ..load(rate, 293)
        })
        .unwrap()
    };
    let (less, more) = (of(45_932.582_638_998_97), of(52_695.216_161_956_036));
    let [less, more] = [&less, &more].map(|estimate| column(estimate, Way::Aggregated, Mode::Provisioned));
    assert!(more.dollars.total < less.dollars.total);
    never_less(less, more).unwrap();
}
