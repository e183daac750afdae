//! What is wrong with a sensor, in words a person can act on.

use detect::derived::lines::Line;
use detect::{Change, Kinds, Lasting, Transition};
use wire::{Sensor, Value};

use super::text::{MAX_NAME, cut, printable, rounded, span, value};

/// Longer units are cut, in characters.
const MAX_UNIT: usize = 12;

/// A sensor at one point of an incident.
struct Moment<'a> {
    sensor: &'a Sensor,
    kinds: Kinds,
    value: &'a Value,
    expected: Option<(f64, f64)>,
    lasting: Option<Lasting>,
}

/// Describes one kind of anomaly.
type Words = fn(&Moment<'_>) -> String;

/// A description per kind, most important first. Novelty is described only if nothing else is wrong.
const WORDS: [(Kinds, Words); 7] = [
    (Kinds::SILENT, |moment| format!("no data{}", moment.lasting())),
    (Kinds::STUCK, |moment| moment.say("stuck at", &moment.lasting())),
    (Kinds::ABOVE, |moment| moment.beyond("above", |(_, highest)| highest)),
    (Kinds::BELOW, |moment| moment.beyond("below", |(lowest, _)| lowest)),
    (Kinds::JUMP, |moment| {
        moment.unlike("jumped to", "further than ever before")
    }),
    (Kinds::DRIFT, |moment| {
        moment.unlike("drifted to", "away from its usual level")
    }),
    (Kinds::NOISE, |moment| {
        moment.say("reads", ", much noisier than ever before")
    }),
];

/// What is wrong as of a transition, most important first; once it is over, what was wrong at its worst. Never empty.
pub fn of(transition: &Transition) -> Vec<String> {
    if transition.change == Change::Resolved {
        return at_worst(transition);
    }
    words(&Moment {
        sensor: &transition.sensor,
        kinds: transition.now,
        value: &transition.value,
        expected: transition.expected,
        lasting: transition.lasting,
    })
}

/// What was wrong at the incident's worst, most important first. Never empty.
pub fn at_worst(transition: &Transition) -> Vec<String> {
    let worst = &transition.worst;
    words(&Moment {
        sensor: &transition.sensor,
        kinds: worst.kinds,
        value: &worst.value,
        expected: worst.expected,
        lasting: worst.lasting,
    })
}

/// What a sensor measures, if its id ends in that, as in `site-1/click_through_rate`: then descriptions name it.
pub(crate) fn quantity(sensor: &Sensor) -> Option<String> {
    owner(sensor)?;
    Some(cut(&printable(&sensor.kind().replace('_', " ")), MAX_NAME))
}

/// The rest of such an id.
pub(crate) fn owner(sensor: &Sensor) -> Option<&str> {
    let owner = sensor.id().strip_suffix(sensor.kind())?.strip_suffix('/')?;
    Some(owner).filter(|_| !sensor.kind().is_empty() && !owner.is_empty())
}

/// A number with its sensor's unit.
pub fn with_unit(number: &str, sensor: &Sensor) -> String {
    match sensor.unit() {
        Some(unit) => format!("{number} {}", cut(&printable(unit), MAX_UNIT)),
        None => number.to_owned(),
    }
}

/// A range with its sensor's unit.
pub fn range((lowest, highest): (f64, f64), sensor: &Sensor) -> String {
    with_unit(&format!("{} to {}", rounded(lowest), rounded(highest)), sensor)
}

fn words(moment: &Moment<'_>) -> Vec<String> {
    let known = WORDS.iter().filter(|(kind, _)| moment.kinds.contains(*kind));
    let mut all: Vec<String> = known.map(|(_, words)| words(moment)).collect();
    if all.is_empty() {
        all.push(match Line::of(moment.sensor, moment.value) {
            Some(line) => unlike_the_lines(&line),
            None => moment.unlike("reads", "unlike anything before"),
        });
    }
    all
}

/// A log line, whose text is not kept.
fn unlike_the_lines(line: &Line) -> String {
    let rare = |lines: f64| lines.round().max(1.0);
    format!(
        "a line unlike those before: 1 in {} has its template, 1 in {} is of its log stream; {} bytes, {} after the \
         newest",
        rare(line.lines_a_template),
        rare(line.lines_a_stream),
        line.bytes.round(),
        span((line.gap_ms * 1e3) as i64),
    )
}

impl Moment<'_> {
    fn value(&self) -> String {
        with_unit(&value(self.value), self.sensor)
    }

    fn lasting(&self) -> String {
        match self.lasting {
            Some(Lasting { micros, before }) if before > 0 => {
                format!(" for {} (longest before: {})", span(micros), span(before))
            }
            Some(Lasting { micros, .. }) => format!(" for {}", span(micros)),
            None => String::new(),
        }
    }

    fn beyond(&self, side: &str, end: fn((f64, f64)) -> f64) -> String {
        let bounds = self.sensor.bounds().map(|bounds| (bounds.lowest, bounds.highest));
        match bounds.or(self.expected) {
            Some(bounds) => {
                let limit = with_unit(&rounded(end(bounds)), self.sensor);
                self.say("reads", &format!(", {side} its limit of {limit}"))
            }
            None => self.say("reads", &format!(", {side} its limit")),
        }
    }

    fn unlike(&self, verb: &str, otherwise: &str) -> String {
        match self.expected {
            Some(expected) => self.say(verb, &format!(" where {} is usual", range(expected, self.sensor))),
            None => self.say(verb, &format!(", {otherwise}")),
        }
    }

    /// A verb, the value, and more.
    fn say(&self, verb: &str, more: &str) -> String {
        let value = self.value();
        match quantity(self.sensor) {
            Some(quantity) if verb == "reads" => format!("{quantity} of {value}{more}"),
            Some(quantity) => format!("{quantity} {verb} {value}{more}"),
            None => format!("{verb} {value}{more}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(kinds: Kinds, expected: Option<(f64, f64)>, lasting: Option<(i64, i64)>) -> Vec<String> {
        let sensor = Sensor::new("a", "Temperature").with_unit("°C");
        words(&Moment {
            sensor: &sensor,
            kinds,
            value: &Value::Scalar(31.2),
            expected,
            lasting: lasting.map(|(seconds, before)| Lasting {
                micros: seconds * 1_000_000,
                before: before * 1_000_000,
            }),
        })
    }

    #[test]
    fn each_kind_is_described() {
        let range = Some((20.1, 22.4));
        for (kinds, expected, lasting, words) in [
            (
                Kinds::NOVEL,
                range,
                None,
                "reads 31.2 °C where 20.1 to 22.4 °C is usual",
            ),
            (Kinds::NOVEL, None, None, "reads 31.2 °C, unlike anything before"),
            (Kinds::ABOVE, range, None, "reads 31.2 °C, above its limit of 22.4 °C"),
            (Kinds::BELOW, range, None, "reads 31.2 °C, below its limit of 20.1 °C"),
            (
                Kinds::JUMP,
                range,
                None,
                "jumped to 31.2 °C where 20.1 to 22.4 °C is usual",
            ),
            (Kinds::JUMP, None, None, "jumped to 31.2 °C, further than ever before"),
            (
                Kinds::DRIFT,
                range,
                None,
                "drifted to 31.2 °C where 20.1 to 22.4 °C is usual",
            ),
            (Kinds::NOISE, None, None, "reads 31.2 °C, much noisier than ever before"),
            (
                Kinds::STUCK,
                None,
                Some((2_700, 180)),
                "stuck at 31.2 °C for 45m (longest before: 3m)",
            ),
            (
                Kinds::SILENT,
                None,
                Some((600, 1)),
                "no data for 10m (longest before: 1s)",
            ),
            (Kinds::SILENT, None, Some((600, 0)), "no data for 10m"),
        ] {
            assert_eq!(say(kinds, expected, lasting), [words]);
        }
    }

    #[test]
    fn a_quantity_at_the_end_of_an_id_is_named() {
        for (id, kinds, words) in [
            (
                "site-1/click_through_rate",
                Kinds::NOVEL,
                "click through rate of 12.346 % where 2 to 4 % is usual",
            ),
            (
                "site-1/click_through_rate",
                Kinds::JUMP,
                "click through rate jumped to 12.346 % where 2 to 4 % is usual",
            ),
            (
                "click_through_rate",
                Kinds::NOVEL,
                "reads 12.346 % where 2 to 4 % is usual",
            ),
        ] {
            let sensor = Sensor::new(id, "click_through_rate").with_unit("%");
            let moment = Moment {
                sensor: &sensor,
                kinds,
                value: &Value::Scalar(1000.0 / 81.0),
                expected: Some((2.0, 4.0)),
                lasting: None,
            };
            assert_eq!(super::words(&moment), [words]);
        }
    }

    #[test]
    fn a_log_line_is_described_by_what_is_rare_in_it() {
        let say = |id: &str, features: [f64; 4]| {
            words(&Moment {
                sensor: &Sensor::new(id, "lines"),
                kinds: Kinds::NOVEL,
                value: &Value::Vector(features.into()),
                expected: None,
                lasting: None,
            })
        };
        let features = [201_f64.ln(), 45_f64.ln(), 3_f64.ln(), 2_001.0];
        let told = "a line unlike those before: 1 in 2001 has its template, 1 in 3 is of its log stream; 44 bytes, \
                    200ms after the newest";
        assert_eq!(say("/app/house/lines", features), [told]);
        assert_eq!(
            say("lines", features),
            ["reads [5.303, 3.807, 1.099, 2001], unlike anything before"]
        );
        // Numbers that no line can give must not panic.
        say("/app/house/lines", [f64::MAX, -f64::MAX, f64::MAX, -1.0]);
    }

    #[test]
    fn the_most_important_comes_first() {
        let both = say(Kinds::NOVEL | Kinds::STUCK | Kinds::ABOVE, Some((20.1, 22.4)), None);
        assert!(
            both.len() == 2 && both[0].starts_with("stuck at") && both[1].ends_with("22.4 °C"),
            "{both:?}"
        );
        assert_eq!(say(Kinds::NONE, None, None), ["reads 31.2 °C, unlike anything before"]);
    }
}
