//! The message about a group of sensors that fail together.

use detect::{Change, Kinds};
use serde::{Deserialize, Serialize};
use wire::Timestamp;

use super::text::{MAX_NAME, cut, printable, quoted, span, utc};
use super::{Attribute, Message, capital, field, publishable, sms, subject, what};
use crate::incident_id::IncidentId;

/// The most sensors a message names, the worst ones.
pub const MAX_NAMED: usize = 5;

/// What to tell people about a group of sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What changed: more sensors fail, it got worse, or all are well.
    pub change: Change,
    /// How many sensors fail; once all are well, how many incidents there were.
    pub sensors: u32,
    /// When the first incident began.
    pub since: Timestamp,
    /// When the latest incident changed.
    pub time: Timestamp,
    /// What the sensors measure, if all measure the same.
    pub kind: Option<String>,
    /// All that has been wrong.
    pub kinds: Kinds,
    /// The highest score.
    pub peak: f64,
    /// The worst sensors, at most [`MAX_NAMED`].
    pub named: Vec<Named>,
}

/// A sensor named in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Its incident.
    pub incident: IncidentId,
    /// Its id, without control characters.
    pub sensor: String,
    /// What was wrong at its worst.
    pub words: String,
    /// The highest score so far.
    pub score: f64,
}

impl Message {
    /// The message about a group. `command` is the start of commands that show more, such as `temp-ingest incidents`.
    pub fn of_group(group: &str, report: &Report, command: &str) -> Self {
        let facts = Facts::of(group, report);
        Self {
            change: report.change,
            subject: subject(&facts.summary()),
            text: facts.text(command),
            sms: sms(&facts.sms()),
            line: facts.line(command),
            attributes: publishable(facts.attributes()),
        }
    }
}

/// The parts of a report as people read them.
struct Facts<'a> {
    report: &'a Report,
    id: &'a str,
    group: String,
    what: String,
    lasted: String,
}

impl<'a> Facts<'a> {
    fn of(group: &'a str, report: &'a Report) -> Self {
        let kinds = report.kinds.joined(report.kind.as_deref().unwrap_or_default(), "+");
        Self {
            report,
            id: group,
            group: cut(&printable(group), MAX_NAME),
            what: what(report.kind.as_deref().unwrap_or_default(), &kinds),
            lasted: span(report.time.as_micros() - report.since.as_micros()),
        }
    }

    fn summary(&self) -> String {
        let Report { change, sensors, .. } = self.report;
        let (group, what) = (&self.group, &self.what);
        match change {
            Change::Resolved => format!(
                "Resolved: all {sensors} incidents in {group}, {what} after {}",
                self.lasted
            ),
            _ => format!(
                "{}: {sensors} sensors in {group}, {what}{}",
                capital(*change),
                self.worst()
            ),
        }
    }

    fn worst(&self) -> String {
        let worst = self.report.named.first();
        worst.map_or_else(String::new, |worst| {
            format!("; worst {}: {}", cut(&worst.sensor, MAX_NAME), worst.words)
        })
    }

    fn sms(&self) -> String {
        match self.report.change {
            Change::Resolved => self.summary(),
            _ => format!("{}, since {}", self.summary(), utc(self.report.since)),
        }
    }

    fn text(&self, command: &str) -> String {
        let report = self.report;
        let over = report.change == Change::Resolved;
        let mut text = format!("{}\n\n", self.summary());
        let mut line = |name: &str, value: &str| field(&mut text, name, value);
        line("change", report.change.name());
        line("group", &self.group);
        if over {
            line("incidents", &format!("{}, all resolved", report.sensors));
        } else {
            line("failing", &format!("{} sensors", report.sensors));
        }
        line("what", &self.what);
        line("score", &format!("{:.1} at its worst (2 is an alert)", report.peak));
        line("since", &utc(report.since));
        line("changed", &format!("{}, after {}", utc(report.time), self.lasted));
        for (place, named) in report.named.iter().enumerate() {
            let name = if place == 0 { "the worst" } else { "" };
            let (sensor, words, score) = (cut(&named.sensor, MAX_NAME), &named.words, named.score);
            line(
                name,
                &format!("{sensor}: {words}, score {score:.1}, incident {}", named.incident),
            );
        }
        let others = (report.sensors as usize).saturating_sub(report.named.len());
        if others > 0 {
            line("", &format!("and {others} more"));
        }
        if !over {
            line(
                "what next",
                "next message when twice as many fail, when it gets worse, and when all are well",
            );
        }
        line("see all", &format!("{command} list --group {}", quoted(self.id)));
        text
    }

    fn line(&self, command: &str) -> String {
        let report = self.report;
        let (count, what) = match report.change {
            Change::Resolved => ("incidents", format!("lasted {}", self.lasted)),
            _ => ("sensors", self.worst().trim_start_matches("; ").to_owned()),
        };
        format!(
            "{}  {:<8}  {} {count} in {}  {}  {what}  score {:.1}  see {command} list --group {}",
            utc(report.time),
            report.change.name(),
            report.sensors,
            self.group,
            self.what,
            report.peak,
            quoted(self.id)
        )
    }

    /// `sensor` is the worst one; `kind` is missing if they measure different things.
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let report = self.report;
        let text = |text: &str| Attribute::Text(printable(text));
        let mut attributes = vec![
            ("group", text(self.id)),
            ("change", text(report.change.name())),
            ("score", Attribute::Number(report.peak)),
            ("sensors", Attribute::Number(report.sensors.into())),
        ];
        attributes.extend(report.named.first().map(|worst| ("sensor", text(&worst.sensor))));
        attributes.extend(report.kind.as_ref().map(|kind| ("kind", text(kind))));
        attributes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use proptest::prelude::*;
    use wire::Sensor;

    use super::*;

    fn report(change: Change, sensor: &str, words: &str, named: usize) -> Report {
        let since: Timestamp = "2024-05-01 10:00:00".parse().unwrap();
        let named = (0..named).map(|number| Named {
            incident: IncidentId::of(&Sensor::new(&number.to_string(), ""), since),
            sensor: format!("{sensor}{number}"),
            words: words.to_owned(),
            score: 9.0 - number as f64,
        });
        Report {
            change,
            sensors: 7,
            since,
            time: "2024-05-01 10:12:30".parse().unwrap(),
            kind: Some("Temperature".to_owned()),
            kinds: Kinds::ABOVE | Kinds::SILENT,
            peak: 9.0,
            named: named.collect(),
        }
    }

    #[test]
    fn says_how_many_which_are_worst_and_how_to_see_all() {
        let words = "reads 104.2 °C, above its limit of 101 °C";
        let report = report(Change::Opened, "DHT_", words, 5);
        let message = Message::of_group("the hall", &report, "temp-ingest incidents");
        let subject =
            "Opened: 7 sensors in the hall, Temperature Hot+Silent; worst DHT_0: reads 104.2 C, above its limit...";
        assert_eq!(
            message.subject,
            subject[..].chars().take(96).collect::<String>() + "..."
        );
        assert!(
            message.sms.starts_with(&subject[..90]) && message.sms.contains("since 2024-05-01"),
            "{}",
            message.sms
        );
        for part in [
            "group        the hall\n",
            "failing      7 sensors\n",
            "the worst    DHT_0: reads 104.2 °C, above its limit of 101 °C, score 9.0, incident ",
            "             DHT_4: reads",
            "             and 2 more\n",
            "see all      temp-ingest incidents list --group 'the hall'\n",
        ] {
            assert!(message.text.contains(part), "{part} in {}", message.text);
        }
        assert!(message.line.contains("  7 sensors in the hall  ") && message.line.contains("worst DHT_0"));
        assert!(message.attributes.contains(&("sensors", Attribute::Number(7.0))));
    }

    #[test]
    fn the_end_says_how_long_it_took() {
        let message = Message::of_group("hall", &report(Change::Resolved, "a", "was off", 1), "");
        assert_eq!(
            message.subject,
            "Resolved: all 7 incidents in hall, Temperature Hot+Silent after 12m 30s"
        );
        assert!(message.text.contains("incidents    7, all resolved\n") && !message.text.contains("what next"));
    }

    #[test]
    fn what_sns_refuses_is_left_out() {
        let mut report = report(Change::Opened, "a", "was off", 1);
        (report.kind, report.peak) = (Some(String::new()), f64::NAN);
        let message = Message::of_group("hall", &report, "");
        let names: Vec<&str> = message.attributes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["group", "change", "sensors", "sensor"]);
        assert!(
            message
                .subject
                .starts_with("Opened: 7 sensors in hall, Above+Silent; worst"),
            "{}",
            message.subject
        );
    }

    proptest! {
        #[test]
        fn limits_and_alphabets_hold(group in ".{1,300}", sensor in ".{1,300}", words in ".{1,100}", named in 0usize..6) {
            for change in [Change::Opened, Change::Worsened, Change::Resolved] {
                let report = report(change, &printable(&sensor), &printable(&words), named);
                let message = Message::of_group(&group, &report, "");
                let plain = |c: char| (' '..='~').contains(&c);
                prop_assert!(message.subject.len() < 100 && message.subject.chars().all(plain));
                let septet = |c: char| plain(c) && !"[]{}\\|^~`".contains(c);
                prop_assert!(message.sms.len() <= 160 && message.sms.chars().all(septet));
                prop_assert!(!message.line.contains(char::is_control));
                prop_assert!(!message.text.replace('\n', "").contains(char::is_control));
            }
        }
    }
}
