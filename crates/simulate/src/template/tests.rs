#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use wire::{FieldValue, Fields, Reading, Timestamp, Value};

use super::super::Label;
use super::*;

const ALL: &str = r#"
kind = "order"
rate = 50.0
[event]
always = "yes"
number = 7
who = { sensor = true }
action = { weighted = { Buy = 1, Look = 3, Never = 0 } }
colour = { choice = ["red", "green", 3, true] }
amount = { integer = [1, 6] }
share = { float = [0.0, 1.0], decimals = 3 }
order = { sequence = 100, step = 5 }
height = { normal = [180.0, 10.0] }
income = { lognormal = [3.0, 0.5] }
wait = { exponential = 2.0 }
items = { poisson = 4.0 }
id = { uuid = true }
email = { fake = "email" }
address = { fake = "ipv4" }
browser = { fake = "user_agent" }
at = { time = "%Y-%m-%d %H:%M:%S" }
"#;

fn plan(text: &str, sensors: u32, faults_per_day: f64) -> Plan {
    let template = Template::parse("shop.toml", text).unwrap();
    Plan {
        sensors,
        rate: template.rate.get(),
        seed: 42,
        prefix: "shop-".into(),
        group: None,
        datatype: template.kind.as_str().into(),
        faults_per_day,
        template: Arc::new(template),
    }
}

fn start() -> Timestamp {
    "2024-01-01T00:00:00Z".parse().unwrap()
}

fn events(plan: &Plan, count: usize) -> (Vec<Reading>, Vec<Label>) {
    let mut events = Events::new(plan, start());
    let mut labels = Vec::new();
    ((0..count).map(|_| events.step(&mut labels)).collect(), labels)
}

fn fields(reading: &Reading) -> &Fields {
    match reading.value() {
        Value::Event(fields) => fields,
        other => panic!("no event: {other:?}"),
    }
}

fn text(reading: &Reading, name: &str) -> String {
    match fields(reading).get(name) {
        Some(FieldValue::Text(text)) => text.into_owned(),
        other => panic!("{name}: {other:?}"),
    }
}

fn numbers(readings: &[Reading], name: &str) -> Vec<f64> {
    let number = |reading| match fields(reading).get(name) {
        Some(FieldValue::Number(number)) => number,
        other => panic!("{name}: {other:?}"),
    };
    readings.iter().map(number).collect()
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

#[test]
fn every_field_says_what_its_table_asks_for() {
    let (readings, _) = events(&plan(ALL, 1, 0.0), 20_000);
    for (name, expected, within) in [
        ("number", 7.0, 0.0),
        ("amount", 3.5, 0.05),
        ("share", 0.5, 0.02),
        ("height", 180.0, 0.5),
        ("income", (3.0f64 + 0.125).exp(), 0.5),
        ("wait", 2.0, 0.1),
        ("items", 4.0, 0.1),
    ] {
        let mean = mean(&numbers(&readings, name));
        assert!((mean - expected).abs() <= within, "{name}: {mean}");
    }
    let amounts = numbers(&readings, "amount");
    assert!(
        (1..=6).all(|face| amounts.contains(&f64::from(face))) && amounts.iter().all(|face| (1.0..=6.0).contains(face))
    );
    assert_eq!(numbers(&readings, "order")[..3], [100.0, 105.0, 110.0]);
    let bought = readings
        .iter()
        .filter(|reading| text(reading, "action") == "Buy")
        .count();
    assert!((4_700..5_300).contains(&bought), "{bought}");
    assert!(readings.iter().all(|reading| text(reading, "action") != "Never"));
    let first = &readings[0];
    let seen = |value: FieldValue<'_>| {
        readings
            .iter()
            .any(|reading| fields(reading).get("colour") == Some(value.clone()))
    };
    assert!(seen(FieldValue::Number(3.0)) && seen(FieldValue::Boolean(true)) && seen(FieldValue::Text("red".into())));
    assert_eq!(
        (text(first, "always"), text(first, "who")),
        ("yes".into(), "shop-001".into())
    );
    assert!(text(first, "at").starts_with("2024-01-01 00:00:0"));
    let id = text(first, "id");
    assert!(id.len() == 36 && &id[14..15] == "4" && "89ab".contains(&id[19..20]) && id != text(&readings[1], "id"));
    assert!(text(first, "email").contains("@example."), "{}", text(first, "email"));
    assert_eq!(text(first, "address").split('.').count(), 4);
    let longest = readings.iter().map(|reading| fields(reading).as_json().len()).max();
    assert!(longest < Some(2_000), "{longest:?}");
}

#[test]
fn the_same_seed_gives_the_same_events_however_many_sensors_there_are() {
    let (alone, _) = events(&plan(ALL, 1, 50.0), 500);
    let (among, _) = events(&plan(ALL, 9, 50.0), 6_000);
    assert!(among.is_sorted_by_key(Reading::time));
    let mine: Vec<_> = among
        .iter()
        .filter(|reading| reading.sensor().id() == "shop-001")
        .take(500)
        .cloned()
        .collect();
    assert_eq!(mine, alone);
    let other = Plan {
        seed: 43,
        ..plan(ALL, 1, 50.0)
    };
    assert_ne!(events(&other, 500).0, alone);
}

#[test]
fn events_come_at_their_rate() {
    for (pace, usual) in [("steady", 0.0..0.001), ("poisson", 0.8..1.2)] {
        let (readings, _) = events(&plan(&format!("pace = \"{pace}\"\n{ALL}"), 1, 0.0), 10_001);
        let times: Vec<f64> = readings
            .iter()
            .map(|reading| reading.time().as_micros() as f64)
            .collect();
        let waits: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = mean(&waits);
        assert!((mean - 20_000.0).abs() < 600.0, "{pace}: {mean}");
        let variance = waits.iter().map(|wait| (wait / mean - 1.0).powi(2)).sum::<f64>() / waits.len() as f64;
        assert!(usual.contains(&variance), "{pace}: {variance}");
    }
}

#[test]
fn an_anomaly_changes_its_fields_while_its_label_says_so_and_nothing_else() {
    let healthy = plan(CLICKSTREAM, 2, 0.0);
    let faulty = plan(CLICKSTREAM, 2, 600.0);
    let (twins, none) = events(&healthy, 60_000);
    let (readings, labels) = events(&faulty, 60_000);
    assert!(none.is_empty() && labels.len() > 5, "{}", labels.len());
    let (mut inside, mut clicks) = (0, 0);
    for (twin, reading) in twins.iter().zip(&readings) {
        assert_eq!((twin.sensor(), twin.time()), (reading.sensor(), reading.time()));
        let labelled =
            |label: &Label| label.sensor == *reading.sensor() && (label.start..label.end).contains(&reading.time());
        if labels.iter().any(labelled) {
            inside += 1;
            clicks += u32::from(text(reading, "browseraction") == "Click");
        } else {
            assert_eq!(twin, reading);
        }
    }
    let share = f64::from(clicks) / f64::from(inside);
    assert!((0.36..=0.40).contains(&share), "{share}");
    assert!(labels.iter().all(|label| label.kind == "changed_fields"));
}

#[test]
fn what_is_wrong_names_file_line_and_remedy() {
    let with = |field: &str| format!("rate = 1.0\n[event]\na = {field}\n");
    for (text, place, remedy) in [
        ("[event]\na = 1".to_owned(), "", "missing field `rate`"),
        (
            "rate = 0.0\n[event]\na = 1".to_owned(),
            ":1:",
            "use a number from 0.000001",
        ),
        (
            "rate = 1.0\n[event]".to_owned(),
            ":2:",
            "an event has at least one field",
        ),
        (
            "rate = 1.0\npase = \"steady\"\n[event]\na = 1".to_owned(),
            ":2:",
            "unknown field `pase`",
        ),
        (
            with("[1]"),
            ":3:",
            "a text, a number, a boolean, or a table with one of sensor",
        ),
        (with("{ chioce = [1] }"), ":3:", "unknown field `chioce`"),
        (with("{}"), ":3:", "it draws 0 things: use one of sensor"),
        (with("{ uuid = true, poisson = 1.0 }"), ":3:", "it draws 2 things"),
        (with("{ uuid = false }"), ":3:", "write uuid = true"),
        (with("{ choice = [] }"), ":3:", "write 1 to 1000"),
        (with("{ choice = [[1]] }"), ":3:", "a text, a number, a boolean"),
        (with("{ weighted = { a = 0 } }"), ":3:", "give at least one more than 0"),
        (with("{ weighted = { a = -1 } }"), ":3:", "use a number from 0"),
        (with("{ integer = [2, 1] }"), ":3:", "write the lower one first"),
        (with("{ float = [1.0, 1.0] }"), ":3:", "holds no number"),
        (with("{ normal = [0.0, -1.0] }"), ":3:", "a standard deviation from 0"),
        (with("{ lognormal = [600.0, 1.0] }"), ":3:", "both are of the logarithm"),
        (with("{ poisson = 0.0 }"), ":3:", "write its mean, above 0"),
        (with("{ fake = \"ssn\" }"), ":3:", "unknown variant `ssn`"),
        (with("{ time = \"%\" }"), ":3:", "no format of strftime"),
        (with("{ uuid = true, decimals = 1 }"), ":3:", "decimals is of float"),
        (with("{ poisson = 1.0, step = 1 }"), ":3:", "step is of sequence"),
        (format!("{}\"x\\ny\" = 1", with("1")), ":", "cannot name a field"),
        (
            format!("{}[anomaly]\nlasts = \"1m\"\nevent = {{ b = 1 }}", with("1")),
            ":6:",
            "add b there, or remove it here",
        ),
        (with(&format!("\"{}\"", "x".repeat(1_025))), ":3:", "use at most 1024"),
        (
            format!("{}b = {{ time = \"{}\" }}", with("1"), "x".repeat(65)),
            ":4:",
            "use at most 64",
        ),
    ] {
        let wrong = Template::parse("p.toml", &text).unwrap_err().join("\n");
        assert!(
            wrong.starts_with(&format!("p.toml{place}")) && wrong.contains(remedy),
            "{text}\n{wrong}"
        );
    }
    let long: String = (0..9).map(|at| format!("f{at} = \"{}\"\n", "x".repeat(400))).collect();
    let wrong = Template::parse("p.toml", &format!("rate = 1.0\n[event]\n{long}")).unwrap_err();
    assert!(wrong[0].contains("use less text"), "{wrong:?}");
}
#[test]
fn each_mistake_is_told_once_and_at_its_place() {
    for (text, told) in [
        (
            "rate = -1.0\n[event]\na = {}",
            &[":1:8: rate: -1 ", ":3:5: event.a: it draws 0 "][..],
        ),
        ("[event]\na = 1", &[":1:1: missing field `rate`"]),
        ("rate = 1.0\nevent = 1\n", &[":2:9: event: invalid type"]),
        (
            "kind = 1\n[event]\na = 1\n[anomaly]\nlasts = \"x\"\nevent = { a = 1 }",
            &[":1:1: missing field `rate`", ":1:8: kind: ", ":5:9: anomaly.lasts: "],
        ),
        (
            "rate = 0\nanomaly = { lasts = \"x\", event = 1 }\nevent = { a = 1 }",
            &[":1:8: rate: 0 ", ":2:21: anomaly.lasts: ", ":2:34: anomaly.event: "],
        ),
        (
            "rate = 1\n[event]\na = 1\n[anomaly]\nfoo = 1",
            &[
                ":4:1: anomaly: missing field `lasts`",
                ":5:1: anomaly.foo: unknown field",
            ],
        ),
    ] {
        let wrong = Template::parse("p.toml", text).unwrap_err();
        let as_told = wrong
            .iter()
            .zip(told)
            .all(|(wrong, told)| wrong.starts_with(&format!("p.toml{told}")));
        assert!(wrong.len() == told.len() && as_told, "{text}\n{}", wrong.join("\n"));
    }
}
