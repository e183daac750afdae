//! What people are told: by email, by SMS, on a terminal. It knows how text has to look there, and no transport. Read
//! in this order:

/// What is wrong, in words.
pub mod description;
/// The message about a group of sensors.
pub mod group;
/// Times, numbers and names as people read them.
pub mod text;

mod incident;

use std::fmt::Write;

use detect::Change;

use self::text::{ascii, cut, gsm};

/// SNS refuses subjects of 100 characters or more: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>.
const MAX_SUBJECT: usize = 99;

/// The largest number by which subscriptions filter:
/// <https://docs.aws.amazon.com/sns/latest/dg/numeric-value-matching.html>.
const MAX_NUMBER: f64 = 1e9;

/// Characters that fit one SMS in the GSM alphabet:
/// <https://docs.aws.amazon.com/sns/latest/dg/sms_publish-to-phone.html>.
const MAX_SMS: usize = 160;

/// One message about an incident or a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What changed about the incident.
    pub change: Change,
    /// Less than 100 printable ASCII characters.
    pub subject: String,
    /// Several lines with all a person needs.
    pub text: String,
    /// At most 160 characters, each in the GSM alphabet and one septet wide.
    pub sms: String,
    /// One line, for a terminal.
    pub line: String,
    /// Attributes by which subscriptions filter, by name.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// An attribute by which subscriptions filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Never empty.
    Text(String),
    /// Finite, and within the range SNS compares.
    Number(f64),
}

/// The attributes SNS accepts: it rejects a whole message for one that is empty or not a number.
fn publishable(attributes: Vec<(&'static str, Attribute)>) -> Vec<(&'static str, Attribute)> {
    let taken = |attribute| match attribute {
        Attribute::Text(text) => (!text.is_empty()).then_some(Attribute::Text(text)),
        Attribute::Number(number) if number.is_nan() => None,
        Attribute::Number(number) => Some(Attribute::Number(number.clamp(-MAX_NUMBER, MAX_NUMBER))),
    };
    let attributes = attributes.into_iter();
    attributes
        .filter_map(|(name, attribute)| Some((name, taken(attribute)?)))
        .collect()
}

/// What is measured and what is wrong with it; `kind` may be empty.
fn what(kind: &str, kinds: &str) -> String {
    format!("{kind} {kinds}").trim_start().to_owned()
}

/// A subject as SNS accepts it.
fn subject(text: &str) -> String {
    cut(&ascii(text), MAX_SUBJECT)
}

/// A text that fits one SMS.
fn sms(text: &str) -> String {
    cut(&gsm(text), MAX_SMS)
}

/// Appends a line of two columns.
fn field(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name:<13}{value}").expect("memory takes all");
}

fn capital(change: Change) -> &'static str {
    match change {
        Change::Opened => "Opened",
        Change::Worsened => "Worse",
        Change::Resolved => "Resolved",
    }
}
