//! What is wrong, in words a person can act on.

use detect::derived::lines::Line;
use detect::{Change, Kinds, Lasting, Transition};
use wire::{Sensor, Value};

use super::text::{MAX_NAME, cut, printable, rounded, span, value};

/// The most characters of a unit that are shown.
const MAX_UNIT: usize = 12;

/// A sensor at one moment of an incident.
struct Moment<'a> {
    sensor: &'a Sensor,
    kinds: Kinds,
    value: &'a Value,
    expected: Option<(f64, f64)>,
    lasting: Option<Lasting>,
}

/// Says of one kind of anomaly what is wrong.
type Words = fn(&Moment<'_>) -> String;

/// Each kind has its line, the most telling first. What is merely novel goes without saying where it is anything else.
const WORDS: [(Kinds, Words); 7] = [
    (Kinds::SILENT, |moment| format!("nothing heard{}", moment.lasting())),
    (Kinds::STUCK, |moment| {
        moment.say("has given exactly", &moment.lasting())
    }),
    (Kinds::ABOVE, |moment| moment.beyond("above", |(_, highest)| highest)),
    (Kinds::BELOW, |moment| moment.beyond("below", |(lowest, _)| lowest)),
    (Kinds::JUMP, |moment| {
        moment.unlike("jumped to", "faster than it ever changed")
    }),
    (Kinds::DRIFT, |moment| {
        moment.unlike("has drifted to", "off the course it keeps")
    }),
    (Kinds::NOISE, |moment| moment.say("reads", ", far noisier than ever")),
];

/// What is wrong as of a transition, the most telling first; where it is over, what was wrong at its worst. Never
/// empty.
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

/// What was wrong at the incident's worst, the most telling first. Never empty.
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

/// What a sensor measures, where its id ends in it, as in `site-1/click_through_rate`: then the words name it.
pub(crate) fn quantity(sensor: &Sensor) -> Option<String> {
    owner(sensor)?;
    Some(cut(&printable(&sensor.kind().replace('_', " ")), MAX_NAME))
}

/// Whose that is: the rest of the id.
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

/// What there is to say of a log line whose text is not kept.
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
                format!(" for {}; {} at most before", span(micros), span(before))
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

    /// What it does, the value, and more.
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
    fn each_kind_is_said_so_that_a_person_can_act() {
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
            (
                Kinds::JUMP,
                None,
                None,
                "jumped to 31.2 °C, faster than it ever changed",
            ),
            (
                Kinds::DRIFT,
                range,
                None,
                "has drifted to 31.2 °C where 20.1 to 22.4 °C is usual",
            ),
            (Kinds::NOISE, None, None, "reads 31.2 °C, far noisier than ever"),
            (
                Kinds::STUCK,
                None,
                Some((2_700, 180)),
                "has given exactly 31.2 °C for 45m; 3m at most before",
            ),
            (
                Kinds::SILENT,
                None,
                Some((600, 1)),
                "nothing heard for 10m; 1s at most before",
            ),
            (Kinds::SILENT, None, Some((600, 0)), "nothing heard for 10m"),
        ] {
            assert_eq!(say(kinds, expected, lasting), [words]);
        }
    }

    #[test]
    fn what_an_id_ends_in_is_named() {
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
    fn a_log_line_is_told_by_what_is_rare_in_it() {
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
        // Numbers that no line gives are told as well.
        say("/app/house/lines", [f64::MAX, -f64::MAX, f64::MAX, -1.0]);
    }

    #[test]
    fn the_most_telling_comes_first() {
        let both = say(Kinds::NOVEL | Kinds::STUCK | Kinds::ABOVE, Some((20.1, 22.4)), None);
        assert!(
            both.len() == 2 && both[0].starts_with("has given") && both[1].ends_with("22.4 °C"),
            "{both:?}"
        );
        assert_eq!(say(Kinds::NONE, None, None), ["reads 31.2 °C, unlike anything before"]);
    }
}
