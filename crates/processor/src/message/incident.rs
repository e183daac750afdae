//! The message about one transition of an incident.

use detect::{Change, Transition};

use super::text::{MAX_NAME, cut, printable, quoted, span, utc, value};
use super::{Attribute, Message, capital, description, field, publishable, sms, subject, what};
use crate::incident_id::IncidentId;

impl Message {
    /// The message about a transition. `command` is the start of commands that show more, such as `temp-ingest
    /// incidents`.
    pub fn of(transition: &Transition, command: &str) -> Self {
        let facts = Facts::of(transition);
        Self {
            change: transition.change,
            subject: subject(&facts.subject()),
            text: facts.text(command),
            sms: sms(&facts.sms()),
            line: facts.line(),
            attributes: publishable(attributes(transition)),
        }
    }
}

/// The parts of a transition as people read them.
struct Facts<'a> {
    transition: &'a Transition,
    id: String,
    sensor: String,
    /// The owner of the sensor, if the description names what it measures.
    owner: Option<String>,
    group: Option<String>,
    what: String,
    words: Vec<String>,
    lasted: String,
}

impl<'a> Facts<'a> {
    fn of(transition: &'a Transition) -> Self {
        let sensor = &transition.sensor;
        let kinds = transition.kinds.joined(sensor.kind(), "+");
        let named = description::quantity(sensor).is_some();
        let kind = cut(&printable(sensor.kind()), MAX_NAME);
        Self {
            transition,
            id: IncidentId::of(sensor, transition.since).to_string(),
            sensor: cut(&printable(sensor.id()), MAX_NAME),
            group: sensor.group().map(|group| cut(&printable(group), MAX_NAME)),
            owner: description::owner(sensor).map(|owner| cut(&printable(owner), MAX_NAME)),
            what: if named { kinds } else { what(&kind, &kinds) },
            words: description::of(transition),
            lasted: span(transition.time.as_micros() - transition.since.as_micros()),
        }
    }

    fn place(&self) -> String {
        let sensor = self.owner.as_ref().unwrap_or(&self.sensor);
        match &self.group {
            Some(group) => format!("{sensor} in {group}"),
            None => sensor.clone(),
        }
    }

    fn subject(&self) -> String {
        let (place, what) = (self.place(), &self.what);
        match self.transition.change {
            Change::Resolved => format!("Resolved: {place}, {what} after {}", self.lasted),
            change => {
                let score = self
                    .owner
                    .as_ref()
                    .map(|_| format!(", score {:.1}", self.transition.peak));
                let (change, score) = (capital(change), score.unwrap_or_default());
                format!("{change}: {place}, {what}: {}{score}", self.words[0])
            }
        }
    }

    fn sms(&self) -> String {
        match self.transition.change {
            Change::Resolved => self.subject(),
            _ => format!("{}, since {}", self.subject(), utc(self.transition.since)),
        }
    }

    fn text(&self, command: &str) -> String {
        let transition = self.transition;
        let sensor = &transition.sensor;
        let worst = &transition.worst;
        let over = transition.change == Change::Resolved;
        let mut text = format!("{}\n\n", self.subject());
        let mut field = |name: &str, value: &str| field(&mut text, name, value);
        field("change", transition.change.name());
        field("sensor", &self.sensor);
        if let Some(group) = &self.group {
            field("group", group);
        }
        field("what", &self.what);
        if !over {
            field("now", &self.words.join("; "));
        }
        field("value", &description::with_unit(&value(&transition.value), sensor));
        let expected = transition.expected.map(|expected| description::range(expected, sensor));
        field("expected", expected.as_deref().unwrap_or("not known yet"));
        let words = description::at_worst(transition).join("; ");
        field("worst", &format!("{words}, at {}", utc(worst.time)));
        field("score", &format!("{:.1} at its worst (2 is an alert)", transition.peak));
        field("anomalies", &format!("{} readings so far", transition.anomalies));
        field("since", &utc(transition.since));
        field("changed", &format!("{}, after {}", utc(transition.time), self.lasted));
        field("see more", &format!("{command} show {}", self.id));
        if !over {
            field("acknowledge", &format!("{command} acknowledge {}", self.id));
            field("silence", &format!("{command} mute {} --for 2h", quoted(sensor.id())));
        }
        text
    }

    fn line(&self) -> String {
        let transition = self.transition;
        let words = match transition.change {
            Change::Resolved => format!("lasted {}", self.lasted),
            _ => self.words.join("; "),
        };
        format!(
            "{}  {:<8}  {}  {}  {words}  score {:.1}  incident {}",
            utc(transition.time),
            transition.change.name(),
            self.place(),
            self.what,
            transition.peak,
            self.id
        )
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use detect::{Kinds, Worst};
    use proptest::prelude::*;
    use wire::{Sensor, Value};

    use super::*;

    fn transition(sensor: Sensor, change: Change) -> Transition {
        Transition {
            sensor: Arc::new(sensor),
            since: "2024-05-01 10:00:00".parse().unwrap(),
            number: 1,
            change,
            kinds: Kinds::ABOVE | Kinds::NOVEL,
            now: Kinds::ABOVE | Kinds::NOVEL,
            value: Value::Scalar(104.2),
            expected: Some((96.0, 101.0)),
            lasting: None,
            peak: 4.25,
            worst: Worst {
                time: "2024-05-01 10:07:00".parse().unwrap(),
                kinds: Kinds::ABOVE,
                value: Value::Scalar(107.0),
                expected: Some((96.0, 101.0)),
                lasting: None,
            },
            anomalies: 7,
            time: "2024-05-01 10:12:30".parse().unwrap(),
        }
    }

    #[test]
    fn says_all_a_person_needs() {
        let sensor = Sensor::new("DHT_001", "Temperature")
            .with_unit("°C")
            .with_group("kitchen");
        let message = Message::of(&transition(sensor, Change::Opened), "temp-ingest incidents");
        assert_eq!(
            message.subject,
            "Opened: DHT_001 in kitchen, Temperature Hot+Novel: reads 104.2 C, above its limit of 101 C"
        );
        assert_eq!(
            message.sms,
            "Opened: DHT_001 in kitchen, Temperature Hot+Novel: reads 104.2 C, above its limit of 101 C, \
             since 2024-05-01 10:00:00 UTC"
        );
        for part in [
            "now          reads 104.2 °C, above its limit of 101 °C\n",
            "value        104.2 °C\n",
            "expected     96 to 101 °C\n",
            "worst        reads 107 °C, above its limit of 101 °C, at 2024-05-01 10:07:00 UTC\n",
            "anomalies    7 readings",
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
    fn a_rate_comes_with_its_score() {
        let sensor = Sensor::new("site-1/click_through_rate", "click_through_rate")
            .with_unit("%")
            .with_group("shop");
        let mut transition = transition(sensor, Change::Opened);
        (transition.value, transition.expected) = (Value::Scalar(38.25), Some((5.0, 11.5)));
        (transition.kinds, transition.now) = (Kinds::NOVEL, Kinds::NOVEL);
        let message = Message::of(&transition, "");
        let words = "site-1 in shop, Novel: click through rate of 38.25 % where 5 to 11.5 % is usual, score 4.2";
        assert_eq!(message.subject, format!("Opened: {words}"));
        assert!(
            message.sms.contains(words) && message.sms.contains("since 2024"),
            "{}",
            message.sms
        );
        assert!(
            message.text.contains("mute site-1/click_through_rate"),
            "{}",
            message.text
        );
    }

    #[test]
    fn a_resolved_incident_says_how_long_it_took() {
        let message = Message::of(&transition(Sensor::new("a b", "wind_speed"), Change::Resolved), "");
        assert_eq!(message.subject, "Resolved: a b, wind_speed Above+Novel after 12m 30s");
        assert!(
            message
                .text
                .contains("worst        reads 107, above its limit of 101, at")
                && !message.text.contains("mute")
        );
    }

    #[test]
    fn what_sns_refuses_is_left_out() {
        let mut transition = transition(Sensor::new("s", "").with_group(""), Change::Opened);
        transition.peak = f64::INFINITY;
        let message = Message::of(&transition, "");
        let names: Vec<&str> = message.attributes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["sensor", "change", "score"]);
        assert_eq!(message.attributes[2].1, Attribute::Number(1e9));
        assert!(
            message.subject.starts_with("Opened: s, Above+Novel: reads"),
            "{}",
            message.subject
        );
        transition.peak = f64::NAN;
        assert_eq!(Message::of(&transition, "").attributes.len(), 2);
    }

    proptest! {
        #[test]
        fn limits_and_alphabets_hold(id in ".{1,300}", kind in ".{0,99}", group in ".{0,99}", number in any::<f64>()) {
            let sensor = Sensor::new(&id, &kind).with_group(&group);
            for change in [Change::Opened, Change::Worsened, Change::Resolved] {
                let mut transition = transition(sensor.clone(), change);
                transition.expected = Some((number, number));
                let message = Message::of(&transition, "");
                prop_assert!(message.subject.len() < 100 && message.subject.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert!(message.subject.starts_with(|first: char| first.is_ascii_alphanumeric()));
                prop_assert!(message.text.len() + message.sms.len() < 64 * 1024, "far from 256 KB");
                prop_assert!(message.attributes.iter().all(|(_, value)| *value != Attribute::Text(String::new())));
                prop_assert!(message.sms.len() <= 160);
                let septet = |c: char| (' '..='~').contains(&c) && !"[]{}\\|^~`".contains(c);
                prop_assert!(message.sms.chars().all(septet));
                prop_assert!(!message.line.contains(char::is_control));
                prop_assert!(!message.text.replace('\n', "").contains(char::is_control));
            }
        }
    }
}
