//! A TOML text whose every mistake is found in one go, each with file, line, column and key.

use std::fmt::Write;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::problem::Problem;

/// A TOML text and the name people know it by.
#[derive(Debug)]
pub struct Document<'a> {
    name: &'a str,
    text: &'a str,
}

impl<'a> Document<'a> {
    /// The text of the file `name`.
    pub fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }

    /// Reads the whole text, or says all that is wrong with it.
    ///
    /// Serde stops at the first mistake, so each one that is found is taken out of the document and the rest tried again.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Vec<String>> {
        let (mut root, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            return Err(errors
                .iter()
                .map(|error| self.problem(error.span(), None, error.message()))
                .collect());
        }
        let (mut mistakes, mut taken) = (Vec::new(), Vec::new());
        loop {
            match T::deserialize(Deserializer::from(root.clone())) {
                Ok(value) if mistakes.is_empty() => return Ok(value),
                Ok(_) => break,
                Err(error) => {
                    let at = error.span();
                    // What the whole text lacks is said of all of it, and no entry of it is wrong.
                    let entry = at.as_ref().filter(|at| **at != root.span());
                    let key = entry.and_then(|at| take_out(root.get_mut(), at.start));
                    let missing = missing(error.message(), key.as_deref());
                    taken.extend(key.clone());
                    let found = key.is_some();
                    if !missing.is_some_and(|missing| taken.contains(&missing)) {
                        mistakes.push((at, key, error.message().to_owned()));
                    }
                    if !found {
                        break;
                    }
                }
            }
        }
        mistakes.sort_by_key(|(at, ..)| at.as_ref().map_or(0, |at| at.start));
        Err(mistakes
            .into_iter()
            .map(|(at, key, message)| self.problem(at, key.as_deref(), &message))
            .collect())
    }

    /// A problem, with its key's place where the text has it.
    pub fn describe(&self, problem: &Problem) -> String {
        let at = DeTable::parse(self.text)
            .ok()
            .and_then(|root| find(root.get_ref(), &problem.key));
        match problem.value.as_str() {
            "" => self.problem(at, Some(&problem.key), &problem.remedy),
            value => self.problem(at, Some(&format!("{} = {value}", problem.key)), &problem.remedy),
        }
    }

    fn problem(&self, at: Option<Range<usize>>, key: Option<&str>, message: &str) -> String {
        let mut problem = self.name.to_owned();
        let Some(at) = at else {
            if let Some(key) = key {
                let _ = write!(problem, ": {key} (not set)");
            }
            let _ = write!(problem, ": {message}");
            return problem;
        };
        let start = at.start.min(self.text.len());
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let from = before.rfind('\n').map_or(0, |newline| newline + 1);
        let shown = self.text[from..].lines().next().unwrap_or_default();
        let column = before[from..].chars().count();
        let marked = self.text[start..at.end.clamp(start, (from + shown.len()).max(start))]
            .chars()
            .count()
            .max(1);
        let _ = write!(problem, ":{line}:{}: ", column + 1);
        if let Some(key) = key {
            let _ = write!(problem, "{key}: ");
        }
        let gutter = line.to_string().len();
        let _ = write!(
            problem,
            "{message}\n  {line} | {shown}\n  {:gutter$} | {:column$}{}",
            "",
            "",
            "^".repeat(marked)
        );
        problem
    }
}

/// The key whose lack in this table, the whole text where there is none, serde says: it may have been taken out.
fn missing(message: &str, table: Option<&str>) -> Option<String> {
    let field = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    Some(table.map_or_else(|| field.to_owned(), |table| format!("{table}.{field}")))
}

/// Takes the innermost entry at this place of the text out of the table and says its key.
fn take_out(table: &mut DeTable<'_>, place: usize) -> Option<String> {
    let (name, inner) = table.iter_mut().find_map(|(name, value)| {
        if name.span().contains(&place) {
            return Some((name.get_ref().to_string(), None));
        }
        // The span of a `[table]` is its header; what stands below it lies outside, so look inside first.
        let inner = match value.get_mut() {
            DeValue::Table(table) => take_out(table, place),
            _ => None,
        };
        (inner.is_some() || value.span().contains(&place)).then(|| (name.get_ref().to_string(), inner))
    })?;
    match inner {
        Some(inner) => Some(format!("{name}.{inner}")),
        None => {
            table.remove(name.as_str());
            Some(name)
        }
    }
}

/// Where the value of a key stands, or the innermost table around it that the text has.
fn find(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let value: &Spanned<DeValue<'_>> = table.get(first)?;
    match (value.get_ref(), rest) {
        (DeValue::Table(inner), Some(rest)) => find(inner, rest).or_else(|| Some(value.span())),
        _ => Some(value.span()),
    }
}
