//! Times, numbers and names as people read them, in the alphabets of email and SMS.

use jiff::SignedDuration;
use wire::{Timestamp, Value};

/// Longer names are cut for people, in characters.
pub(crate) const MAX_NAME: usize = 40;

/// `2024-05-01 10:00:00 UTC`.
pub fn utc(time: Timestamp) -> String {
    format!("{} UTC", &time.zoneless()[..19])
}

/// Longer numbers are rounded for people, in characters.
const MAX_NUMBER: usize = 12;

/// A value as people read it; only the first six numbers of a vector.
pub fn value(value: &Value) -> String {
    match value {
        Value::Scalar(number) => match number.to_string() {
            long if long.len() > MAX_NUMBER => rounded(*number),
            digits => digits,
        },
        Value::Event(fields) => fields.as_json().to_owned(),
        Value::Vector(numbers) => {
            let shown: Vec<String> = numbers.iter().take(6).map(|number| rounded(*number)).collect();
            match numbers.len() {
                0..=6 => format!("[{}]", shown.join(", ")),
                all => format!("[{}, and {} more]", shown.join(", "), all - shown.len()),
            }
        }
    }
}

/// Text from a device, without control characters for a terminal and characters that XML and thus SQS refuse.
pub fn printable(text: &str) -> String {
    let refused = |character: char| character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}');
    text.chars()
        .map(|character| if refused(character) { '?' } else { character })
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

/// Quoted as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:@%+,".contains(character);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", printable(text).replace('\'', r"'\''"))
    }
}

/// A duration, in whole seconds from ten seconds on.
pub fn span(micros: i64) -> String {
    let micros = micros.max(0);
    let length = match micros {
        0..10_000_000 => SignedDuration::from_millis(micros / 1_000),
        _ => SignedDuration::from_secs(micros / 1_000_000),
    };
    format!("{length:#}")
}

/// Printable ASCII, as SNS wants subjects.
pub(crate) fn ascii(text: &str) -> String {
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

/// ASCII characters of one septet each in the GSM alphabet (3GPP TS 23.038).
pub(crate) fn gsm(text: &str) -> String {
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
pub(crate) fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 3).chain("...".chars()).collect(),
    }
}
