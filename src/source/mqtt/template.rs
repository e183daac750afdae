//! Names made of parts of a topic and of a payload: `{site}/{device}/{field}`.

use std::fmt;

/// What stands for something in the payload begins so: `{payload.room}`.
pub(super) const PAYLOAD: &str = "payload.";

/// Text with gaps that each message fills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Gap(String),
}

impl Template {
    /// Reads one, or says what is wrong with it and how to mend that.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unclosed = || "has a brace without its partner: write {device}, and no braces else".to_owned();
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (gap, after) = after.split_once('}').ok_or_else(unclosed)?;
            if before.contains('}') || gap.contains('{') {
                return Err(unclosed());
            }
            parts.extend([Part::Text(before.into()), Part::Gap(gap.into())]);
            rest = after;
        }
        if rest.contains('}') {
            return Err(unclosed());
        }
        parts.push(Part::Text(rest.into()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// What its gaps ask for.
    pub fn gaps(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Gap(gap) => Some(gap.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Writes it to the end of `out` with its gaps filled. Gives the gap for which there is nothing.
    pub fn fill<'v>(&self, out: &mut String, value: impl Fn(&str) -> Option<&'v str>) -> Result<(), &str> {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Gap(gap) => out.push_str(value(gap).ok_or(gap.as_str())?),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Gap(gap) => write!(f, "{{{gap}}}"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn gaps_are_filled_in_their_places() {
        let template = Template::parse("{site}-{device}/x").unwrap();
        assert_eq!(template.gaps().collect::<Vec<_>>(), ["site", "device"]);
        let mut out = String::from("> ");
        let value = |gap: &str| Some(if gap == "site" { "berlin" } else { "t1" });
        assert_eq!(template.fill(&mut out, value), Ok(()));
        assert_eq!(out, "> berlin-t1/x");
        assert_eq!(template.fill(&mut out, |_| None), Err("site"));
        assert_eq!(template.to_string(), "{site}-{device}/x");
    }

    #[test]
    fn braces_come_in_pairs() {
        for text in ["{a", "a}", "{a{b}}", "}{a}"] {
            assert!(Template::parse(text).unwrap_err().contains("partner"), "{text}");
        }
        assert_eq!(Template::parse("").unwrap().gaps().count(), 0);
    }
}
