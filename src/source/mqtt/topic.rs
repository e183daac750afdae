//! What is subscribed to: MQTT topic filters, whose levels may have names, `zigbee2mqtt/{device}`.

use std::fmt;
use std::ops::Range;

/// The longest topic filter MQTT can carry, in bytes.
const MAX_BYTES: usize = 65_535;
const SHARED: &str = "$share/";

/// A topic filter with names for some of its levels. A named level is a `+` to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// Who shares the subscription, as the broker is told: `$share/group/`, or nothing.
    share: String,
    levels: Vec<Level>,
    names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Is(String),
    /// Any one level: `+`, or a name, by its index.
    Any(Option<usize>),
    /// All levels that are left: `#`.
    Rest,
}

impl Pattern {
    /// Reads one, or says what is wrong with it and how to mend that.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES || text.contains('\0') {
            return Err(format!("is no topic: use at most {MAX_BYTES} bytes, none of them zero"));
        }
        let (share, filter) = match text.strip_prefix(SHARED) {
            None => (String::new(), text),
            Some(shared) => match shared.split_once('/') {
                Some((group, filter)) if !group.is_empty() && !group.contains(['+', '#']) => {
                    (format!("{SHARED}{group}/"), filter)
                }
                _ => return Err("shares a subscription without saying among whom: write $share/GROUP/TOPIC".into()),
            },
        };
        if filter.is_empty() {
            return Err("is empty: name a topic, such as \"sensors/#\"".into());
        }
        let mut pattern = Self {
            text: text.into(),
            share,
            levels: Vec::new(),
            names: Vec::new(),
        };
        for level in filter.split('/') {
            if pattern.levels.last() == Some(&Level::Rest) {
                return Err("has levels after #: it stands for all that are left, so put it last".into());
            }
            let level = pattern.level(level)?;
            pattern.levels.push(level);
        }
        Ok(pattern)
    }

    fn level(&mut self, level: &str) -> Result<Level, String> {
        match level {
            "+" => return Ok(Level::Any(None)),
            "#" => return Ok(Level::Rest),
            _ if level.contains(['+', '#']) => {
                return Err(format!(
                    "has a wildcard inside the level {level:?}: + and # stand for whole levels"
                ));
            }
            _ if !level.contains(['{', '}']) => return Ok(Level::Is(level.into())),
            _ => {}
        }
        let name = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let plain = |name: &&str| {
            let mut letters = name.bytes();
            letters.next().is_some_and(|first| first.is_ascii_lowercase())
                && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_')
        };
        let Some(name) = name.filter(plain) else {
            return Err(format!(
                "has the level {level:?}: a name stands for a whole level, in small letters, such as {{device}}"
            ));
        };
        if ["field", "topic"].contains(&name) {
            return Err(format!(
                "names a level {level:?}, which has a meaning already: use another name"
            ));
        }
        if self.names.iter().any(|known| known == name) {
            return Err(format!("has {level:?} twice: give each level a name of its own"));
        }
        self.names.push(name.into());
        Ok(Level::Any(Some(self.names.len() - 1)))
    }

    /// What the broker is asked for.
    pub fn filter(&self) -> String {
        let levels = self.levels.iter().map(|level| match level {
            Level::Is(text) => text.as_str(),
            Level::Any(_) => "+",
            Level::Rest => "#",
        });
        self.share.clone() + &levels.collect::<Vec<_>>().join("/")
    }

    /// The names of its levels, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// True where a message with this topic is meant. Puts where its named levels are into `named`, in their order.
    pub fn matches(&self, topic: &str, named: &mut Vec<Range<usize>>) -> bool {
        named.clear();
        // Topics of the broker's own have to be asked for by name.
        if topic.starts_with('$') && !matches!(self.levels.first(), Some(Level::Is(_))) {
            return false;
        }
        let mut start = 0;
        let mut parts = topic.split('/').map(|part| {
            let range = start..start + part.len();
            start = range.end + 1;
            range
        });
        for level in &self.levels {
            match (level, parts.next()) {
                // It means the level above it as well.
                (Level::Rest, _) => return true,
                (_, None) => return false,
                (Level::Is(text), Some(part)) if *text != topic[part.clone()] => return false,
                (Level::Is(_) | Level::Any(None), Some(_)) => {}
                (Level::Any(Some(_)), Some(part)) => named.push(part),
            }
        }
        parts.next().is_none()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn named(pattern: &str, topic: &str) -> Option<Vec<String>> {
        let mut named = Vec::new();
        let matches = Pattern::parse(pattern).unwrap().matches(topic, &mut named);
        matches.then(|| {
            named
                .into_iter()
                .map(|range: Range<usize>| topic[range].to_owned())
                .collect()
        })
    }

    #[test]
    fn wildcards_mean_what_mqtt_says() {
        for (pattern, topic, expected) in [
            ("sport/tennis/#", "sport/tennis", true),
            ("sport/tennis/#", "sport/tennis/player1/ranking", true),
            ("#", "a/b", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("sport/+", "sport/a/b", false),
            ("+/+", "/finance", true),
            ("a/b", "a/b/c", false),
            ("a/b", "A/b", false),
        ] {
            assert_eq!(named(pattern, topic).is_some(), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn named_levels_are_found_and_asked_for_as_wildcards() {
        let pattern = Pattern::parse("$share/ours/{site}/x/{device}/#").unwrap();
        assert_eq!(pattern.filter(), "$share/ours/+/x/+/#");
        assert_eq!(pattern.names(), ["site", "device"]);
        assert_eq!(
            named("{site}/x/{device}/#", "berlin/x/t1/more"),
            Some(vec!["berlin".into(), "t1".into()])
        );
        assert_eq!(named("{site}/x/{device}", "berlin/y/t1"), None);
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_remedy() {
        for (text, remedy) in [
            ("", "name a topic"),
            ("a/#/b", "put it last"),
            ("a/b+", "whole levels"),
            ("a/{De}", "small letters"),
            ("a/x{device}", "whole level"),
            ("{a}/{a}", "a name of its own"),
            ("{field}", "another name"),
            ("$share//a", "$share/GROUP/TOPIC"),
            ("$share/a", "$share/GROUP/TOPIC"),
            ("$share/a/", "name a topic"),
            ("a\0", "none of them zero"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.contains(remedy), "{text:?}: {error}");
        }
    }

    proptest! {
        /// A pattern made of a topic by naming levels matches it, and names what stands there.
        #[test]
        fn a_topic_matches_its_own_pattern(levels in proptest::collection::vec(("[a-z0-9 ]{0,6}", any::<bool>()), 1..6)) {
            let topic = levels.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join("/");
            let level = |(index, (text, is_named)): (usize, &(String, bool))| match is_named {
                true => format!("{{n{index}}}"),
                false => text.clone(),
            };
            let pattern = levels.iter().enumerate().map(level).collect::<Vec<_>>().join("/");
            prop_assume!(!pattern.is_empty());
            let expected: Vec<_> = levels.iter().filter(|(_, named)| *named).map(|(text, _)| text.clone()).collect();
            prop_assert_eq!(named(&pattern, &topic), Some(expected));
        }
    }
}
