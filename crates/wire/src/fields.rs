//! What an event says: a few named fields, kept as the JSON they came in. Reading one by its name allocates nothing, unless
//! its text has escapes.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::literal::{number, string};

/// The most bytes an event may take as JSON: with what else its reading says it fits a record's 25 KB.
pub const MAX_EVENT_BYTES: usize = 16 * 1024;

/// The most fields an event may have.
pub const MAX_FIELDS: usize = 64;

/// The longest name of a field, in bytes.
pub const MAX_FIELD_NAME_BYTES: usize = 64;

/// The fields of an event, in the order they came in; never none. Cloning them allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Arc<str>);

/// What a field says.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number, finite.
    Number(f64),
    /// A boolean.
    Boolean(bool),
}

/// Fields that no event can carry.
#[derive(Debug, thiserror::Error)]
pub enum FieldsError {
    /// Not JSON.
    #[error("an event is not well-formed: {0}: send an object such as {{\"action\":\"Click\"}}")]
    Malformed(serde_json::Error),
    /// Something other than an object.
    #[error("an event is an object of fields: send one such as {{\"action\":\"Click\"}}")]
    NotAnObject,
    /// No field, or none that says anything.
    #[error("the event has no field: send at least one")]
    Empty,
    /// A name that is empty, too long, or written with quotes, backslashes or control characters.
    #[error(
        "{0:?} cannot name a field: use 1 to {MAX_FIELD_NAME_BYTES} bytes without quotes, backslashes and control characters"
    )]
    Name(Box<str>),
    /// A name that was there before.
    #[error("the event has the field {0:?} twice: send it once")]
    Twice(Box<str>),
    /// A list, or fields within a field.
    #[error("the field {0:?} is no text, number or boolean: send its parts as fields of their own")]
    Nested(Box<str>),
    /// A number that is not finite.
    #[error("the field {0:?} is beyond the range of a 64-bit floating point number: send a smaller one")]
    NotFinite(Box<str>),
    /// A text that is none.
    #[error("an escape in the field {0:?} is no character: send characters as they are")]
    Escape(Box<str>),
    /// More fields than [`MAX_FIELDS`].
    #[error("the event has more than {MAX_FIELDS} fields: send at most {MAX_FIELDS}")]
    TooMany,
    /// More bytes than [`MAX_EVENT_BYTES`].
    #[error("the event takes {0} bytes: send at most {MAX_EVENT_BYTES}")]
    TooLong(usize),
}

impl Fields {
    /// The fields of a JSON object. Blanks between them go, and so do those that are `null`; all else stays as written.
    pub fn parse(json: &str) -> Result<Self, FieldsError> {
        let raw: &RawValue = serde_json::from_str(json).map_err(FieldsError::Malformed)?;
        Self::read(raw.get(), &mut String::new())
    }

    /// The fields of a well-formed JSON value, put together in `scratch`.
    pub(crate) fn read(json: &str, scratch: &mut String) -> Result<Self, FieldsError> {
        let mut rest = json.trim_ascii().strip_prefix('{').ok_or(FieldsError::NotAnObject)?;
        scratch.clear();
        let mut fields = 0;
        while let Some((name, value, after)) = split(rest) {
            rest = after;
            check_name(name)?;
            if value == "null" {
                continue;
            }
            check_value(name, value)?;
            if entries(scratch).any(|(known, _)| known == name) {
                return Err(FieldsError::Twice(name.into()));
            }
            fields += 1;
            if fields > MAX_FIELDS {
                return Err(FieldsError::TooMany);
            }
            scratch.push(if fields == 1 { '{' } else { ',' });
            for part in ["\"", name, "\":", value] {
                scratch.push_str(part);
            }
        }
        scratch.push('}');
        match scratch.len() {
            _ if fields == 0 => Err(FieldsError::Empty),
            bytes if bytes > MAX_EVENT_BYTES => Err(FieldsError::TooLong(bytes)),
            _ => Ok(Self(scratch.as_str().into())),
        }
    }

    /// As one JSON object without blanks.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// What the field of that name says.
    pub fn get(&self, name: &str) -> Option<FieldValue<'_>> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Every field and what it says, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        entries(&self.0).map(|(name, raw)| (name, FieldValue::of(raw)))
    }
}

impl<'a> FieldValue<'a> {
    /// Of a value that was checked.
    fn of(raw: &'a str) -> Self {
        match raw {
            "true" => Self::Boolean(true),
            "false" => Self::Boolean(false),
            text if text.starts_with('"') => Self::Text(unescaped(text).unwrap_or_default()),
            digits => Self::Number(digits.parse().unwrap_or_default()),
        }
    }
}

/// Puts events together field by field, one after another without allocating more than each of them.
#[derive(Debug, Default)]
pub struct FieldsWriter {
    json: Vec<u8>,
    scratch: String,
    wrong: Option<FieldsError>,
}

impl FieldsWriter {
    /// Without a field yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.name(name);
        string(text, &mut self.json);
        self
    }

    /// Adds a number, which must be finite.
    pub fn number(&mut self, name: &str, digits: f64) -> &mut Self {
        self.name(name);
        match digits.is_finite() {
            true => number(digits, &mut self.json),
            false => self.refuse(FieldsError::NotFinite(name.into())),
        }
        self
    }

    /// Adds a whole number, all of its digits.
    pub fn whole(&mut self, name: &str, number: i64) -> &mut Self {
        self.name(name);
        self.json
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self
    }

    /// Adds a boolean.
    pub fn boolean(&mut self, name: &str, boolean: bool) -> &mut Self {
        self.name(name);
        self.json
            .extend_from_slice(if boolean { b"true".as_slice() } else { b"false" });
        self
    }

    /// The event; the next one begins anew.
    pub fn finish(&mut self) -> Result<Fields, FieldsError> {
        self.json.push(b'}');
        let fields = match self.wrong.take() {
            Some(wrong) => Err(wrong),
            None if self.json.len() == 1 => Err(FieldsError::Empty),
            None => Fields::read(&String::from_utf8_lossy(&self.json), &mut self.scratch),
        };
        self.json.clear();
        fields
    }

    /// Forgets the fields since the last event.
    pub fn clear(&mut self) {
        self.json.clear();
        self.wrong = None;
    }

    fn name(&mut self, name: &str) {
        if let Err(wrong) = check_name(name) {
            self.refuse(wrong);
        }
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        string(name, &mut self.json);
        self.json.push(b':');
    }

    /// The first thing that is wrong is told.
    fn refuse(&mut self, wrong: FieldsError) {
        self.wrong.get_or_insert(wrong);
    }
}

fn check_name(name: &str) -> Result<(), FieldsError> {
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    match (1..=MAX_FIELD_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(FieldsError::Name(name.chars().take(MAX_FIELD_NAME_BYTES).collect())),
    }
}

fn check_value(name: &str, raw: &str) -> Result<(), FieldsError> {
    match raw.as_bytes().first() {
        Some(b'{' | b'[') => Err(FieldsError::Nested(name.into())),
        Some(b'"') => match unescaped(raw) {
            Some(_) => Ok(()),
            None => Err(FieldsError::Escape(name.into())),
        },
        Some(b't' | b'f') => Ok(()),
        _ => match raw.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(()),
            _ => Err(FieldsError::NotFinite(name.into())),
        },
    }
}

/// The names and values of a well-formed object whose names have no escapes, or of its beginning.
fn entries(json: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = json.strip_prefix('{').unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, value, after) = split(rest)?;
        rest = after;
        Some((name, value))
    })
}

/// Splits the next name and value off what is left of a well-formed object. Of a nested value it gives the beginning.
fn split(rest: &str) -> Option<(&str, &str, &str)> {
    let blank = |character: char| character.is_ascii_whitespace() || character == ',';
    let (name, rest) = quoted(rest.trim_start_matches(blank))?;
    let rest = rest.trim_start_matches(|character: char| character.is_ascii_whitespace() || character == ':');
    let (value, rest) = match quoted(rest) {
        Some(text) => text,
        None => rest.split_at(rest.find(|c: char| blank(c) || c == '}').unwrap_or(rest.len())),
    };
    Some((name.get(1..name.len() - 1)?, value, rest))
}

/// Splits a string off the beginning, with its quotes.
fn quoted(json: &str) -> Option<(&str, &str)> {
    let inside = json.strip_prefix('"')?;
    let mut escaped = false;
    let end = inside.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(json.split_at(end + 2))
}

/// What a string says; none where an escape in it is no character.
fn unescaped(raw: &str) -> Option<Cow<'_, str>> {
    match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}
