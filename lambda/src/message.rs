//! What people are told of an incident: by email, by SMS, on a terminal.

use std::fmt::Write;

use detect::{Change, Transition};
use jiff::SignedDuration;
use wire::{Timestamp, Value};

use crate::incident_id::IncidentId;

/// SNS refuses subjects of 100 characters or more: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>.
const MAX_SUBJECT: usize = 99;

/// What fits one SMS in the GSM alphabet: <https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-phone.html>.
const MAX_SMS: usize = 160;

/// Longer ids and groups are cut where they are shown to people.
const MAX_NAME: usize = 40;

/// One message about one moment of an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What changed about the incident.
    pub change: Change,
    /// Less than 100 printable ASCII characters.
    pub subject: String,
    /// Several lines a person can act on.
    pub text: String,
    /// At most 160 characters, each in the GSM alphabet and one septet wide.
    pub sms: String,
    /// All of it in one line, for a terminal.
    pub line: String,
    /// Name and value of what a subscriber may choose messages by.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// What a subscriber may choose messages by.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Never empty.
    Text(String),
    /// Finite.
    Number(f64),
}

impl Message {
    /// What to tell people of a transition. `command` begins those that say more of it: `temp-ingest incidents`.
    pub fn of(transition: &Transition, command: &str) -> Self {
        let facts = Facts::of(transition);
        Self {
            attributes: attributes(transition),
            change: transition.change,
            subject: cut(&ascii(&facts.subject()), MAX_SUBJECT),
            text: facts.text(command),
            sms: cut(&gsm(&facts.sms()), MAX_SMS),
            line: facts.line(),
        }
    }
}

/// A transition's fields as people read them.
struct Facts {
    change: Change,
    id: String,
    sensor: String,
    mute: String,
    group: Option<String>,
    what: String,
    value: String,
    expected: Option<String>,
    since: Timestamp,
    time: Timestamp,
    lasted: SignedDuration,
    peak: f64,
}

impl Facts {
    fn of(transition: &Transition) -> Self {
        let sensor = &transition.sensor;
        let unit = sensor
            .unit()
            .map(|unit| format!(" {}", printable(unit)))
            .unwrap_or_default();
        let kinds: Vec<&str> = transition.kinds.names(sensor.kind()).collect();
        let lasted = transition.time.as_micros() - transition.since.as_micros();
        Self {
            change: transition.change,
            id: IncidentId::of(sensor, transition.since).to_string(),
            sensor: cut(&printable(sensor.id()), MAX_NAME),
            mute: quoted(sensor.id()),
            group: sensor.group().map(|group| cut(&printable(group), MAX_NAME)),
            what: format!("{} {}", cut(&printable(sensor.kind()), MAX_NAME), kinds.join("+")),
            value: format!("{}{unit}", value(&transition.value)),
            expected: transition
                .expected
                .map(|(lowest, highest)| format!("{} to {}{unit}", rounded(lowest), rounded(highest))),
            since: transition.since,
            time: transition.time,
            lasted: SignedDuration::from_secs(lasted.max(0) / 1_000_000),
            peak: transition.peak,
        }
    }

    fn place(&self) -> String {
        match &self.group {
            Some(group) => format!("{} in {group}", self.sensor),
            None => self.sensor.clone(),
        }
    }

    fn subject(&self) -> String {
        match self.change {
            Change::Resolved => format!("Resolved: {}, {} after {:#}", self.place(), self.what, self.lasted),
            change => format!("{}: {}, {} at {}", capital(change), self.place(), self.what, self.value),
        }
    }

    fn sms(&self) -> String {
        let expected = self
            .expected
            .as_ref()
            .map(|range| format!(", expected {range}"))
            .unwrap_or_default();
        match self.change {
            Change::Resolved => self.subject(),
            _ => format!(
                "{}{expected}, score {:.1}, since {}",
                self.subject(),
                self.peak,
                utc(self.since)
            ),
        }
    }

    fn text(&self, command: &str) -> String {
        let mut text = format!("{}\n\n", self.subject());
        let mut field = |name: &str, value: &str| {
            writeln!(text, "{name:<13}{value}").expect("memory takes all");
        };
        field("change", self.change.name());
        field("sensor", &self.sensor);
        if let Some(group) = &self.group {
            field("group", group);
        }
        field("what", &self.what);
        field("value", &self.value);
        field("expected", self.expected.as_deref().unwrap_or("not known yet"));
        field("score", &format!("{:.1} at its worst (2 is an alert)", self.peak));
        field("since", &utc(self.since));
        field("changed", &format!("{}, after {:#}", utc(self.time), self.lasted));
        field("see more", &format!("{command} show {}", self.id));
        if self.change != Change::Resolved {
            field("acknowledge", &format!("{command} acknowledge {}", self.id));
            field("silence", &format!("{command} mute {} --for 2h", self.mute));
        }
        text
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{}  {:<8}  {}  {}",
            utc(self.time),
            self.change.name(),
            self.place(),
            self.what
        );
        let mut add = |field: std::fmt::Arguments<'_>| line.write_fmt(field).expect("memory takes all");
        if self.change == Change::Resolved {
            add(format_args!("  lasted {:#}", self.lasted));
        } else {
            add(format_args!("  value {}", self.value));
            if let Some(expected) = &self.expected {
                add(format_args!("  expected {expected}"));
            }
        }
        add(format_args!("  score {:.1}  incident {}", self.peak, self.id));
        line
    }
}

fn attributes(transition: &Transition) -> Vec<(&'static str, Attribute)> {
    let sensor = &transition.sensor;
    let text = |text: &str| Attribute::Text(printable(text));
    let mut attributes = vec![
        ("sensor", text(sensor.id())),
        ("kind", text(sensor.kind())),
        ("change", text(transition.change.name())),
        ("score", Attribute::Number(transition.peak)),
    ];
    attributes.extend(sensor.group().map(|group| ("group", text(group))));
    attributes
}

/// `2024-05-01 10:00:00 UTC`.
pub fn utc(time: Timestamp) -> String {
    format!("{} UTC", &time.zoneless()[..19])
}

/// A value as people read it: vectors of more than six numbers are cut.
pub fn value(value: &Value) -> String {
    match value {
        Value::Scalar(number) => number.to_string(),
        Value::Vector(numbers) => {
            let shown: Vec<String> = numbers.iter().take(6).map(|number| rounded(*number)).collect();
            match numbers.len() {
                0..=6 => format!("[{}]", shown.join(", ")),
                all => format!("[{}, and {} more]", shown.join(", "), all - shown.len()),
            }
        }
    }
}

/// What came from a device must not steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { '?' } else { character })
        .collect()
}

/// A number to three decimals, or three significant digits where it is very small or very large.
pub fn rounded(number: f64) -> String {
    if number != 0.0 && !(1e-2..1e9).contains(&number.abs()) {
        return format!("{number:.2e}");
    }
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+,".contains(character);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", printable(text).replace('\'', r"'\''"))
    }
}

fn capital(change: Change) -> &'static str {
    match change {
        Change::Opened => "Opened",
        Change::Worsened => "Worse",
        Change::Resolved => "Resolved",
    }
}

/// In printable ASCII, as SNS wants subjects.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ' '..='~' => plain.push(character),
            '°' => {}
            'µ' | 'μ' => plain.push('u'),
            _ => plain.push('?'),
        }
    }
    plain
}

/// In ASCII that is one septet a character in the GSM alphabet (3GPP TS 23.038).
fn gsm(text: &str) -> String {
    ascii(text)
        .chars()
        .map(|character| match character {
            '[' | '{' => '(',
            ']' | '}' => ')',
            '\\' | '|' => '/',
            '^' | '`' => '\'',
            '~' => '-',
            other => other,
        })
        .collect()
}

/// At most `limit` characters.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 3).chain("...".chars()).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use detect::Kinds;
    use proptest::prelude::*;
    use wire::Sensor;

    use super::*;

    fn transition(sensor: Sensor, change: Change) -> Transition {
        Transition {
            sensor: Arc::new(sensor),
            since: "2024-05-01 10:00:00".parse().unwrap(),
            number: 1,
            change,
            kinds: Kinds::ABOVE | Kinds::NOVEL,
            value: Value::Scalar(104.2),
            expected: Some((96.0, 101.0)),
            peak: 4.25,
            time: "2024-05-01 10:12:30".parse().unwrap(),
        }
    }

    #[test]
    fn tells_all_a_person_needs() {
        let sensor = Sensor::new("DHT_001", "Temperature")
            .with_unit("°C")
            .with_group("kitchen");
        let message = Message::of(&transition(sensor, Change::Opened), "temp-ingest incidents");
        assert_eq!(
            message.subject,
            "Opened: DHT_001 in kitchen, Temperature Hot+Novel at 104.2 C"
        );
        assert_eq!(
            message.sms,
            "Opened: DHT_001 in kitchen, Temperature Hot+Novel at 104.2 C, expected 96 to 101 C, score 4.2, \
             since 2024-05-01 10:00:00 UTC"
        );
        for part in [
            "104.2 °C",
            "96 to 101 °C",
            "score        4.2",
            "kitchen",
            "incidents show ",
            "mute DHT_001 --for",
        ] {
            assert!(message.text.contains(part), "{part} in {}", message.text);
        }
        assert!(
            message
                .line
                .starts_with("2024-05-01 10:12:30 UTC  opened    DHT_001 in kitchen")
        );
    }

    #[test]
    fn a_resolved_incident_says_how_long_it_took() {
        let message = Message::of(&transition(Sensor::new("a b", "wind_speed"), Change::Resolved), "");
        assert_eq!(message.subject, "Resolved: a b, wind_speed Above+Novel after 12m 30s");
        assert!(!message.text.contains("mute"));
    }

    proptest! {
        #[test]
        fn limits_and_alphabets_hold(id in ".{1,300}", kind in ".{1,99}", group in ".{0,99}", number in any::<f64>()) {
            let sensor = Sensor::new(&id, &kind).with_group(&group);
            for change in [Change::Opened, Change::Worsened, Change::Resolved] {
                let mut transition = transition(sensor.clone(), change);
                transition.expected = Some((number, number));
                let message = Message::of(&transition, "");
                prop_assert!(message.subject.len() < 100 && message.subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert!(message.sms.len() <= 160);
                let septet = |c: char| (' '..='~').contains(&c) && !"[]{}\\|^~`".contains(c);
                prop_assert!(message.sms.chars().all(septet));
                prop_assert!(!message.line.contains(char::is_control));
                prop_assert!(!message.text.replace('\n', "").contains(char::is_control));
            }
        }
    }
}
