//! The numbers of a history: with a decimal point or a decimal comma, or missing.

/// What is written where nothing was measured, in any case.
const MISSING: [&str; 12] = [
    "",
    "nan",
    "null",
    "none",
    "na",
    "n/a",
    "#n/a",
    "nil",
    "-",
    "--",
    "unavailable",
    "unknown",
];

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    /// A finite number.
    Number(f64),
    /// Nothing was measured.
    Missing,
    /// Neither.
    Other,
}

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Decimal {
    /// `1234.5`
    #[default]
    Point,
    /// `1234,5` or `1.234,5`
    Comma,
    /// `1234.5` or `1234,5`: no number so far has either.
    Either,
}

impl Decimal {
    /// What a cell without white space around it says.
    pub fn read(self, text: &str) -> Cell {
        let number = match (self, text.contains(',')) {
            (Self::Comma, _) | (Self::Either, true) if text.contains([',', '.']) => {
                point(text).and_then(|text| text.parse::<f64>().ok())
            }
            _ => text.parse::<f64>().ok(),
        };
        match number {
            Some(number) if number.is_finite() => Cell::Number(number),
            _ if MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(text)) => Cell::Missing,
            _ => Cell::Other,
        }
    }
}

/// The same number with a decimal point and nothing between its thousands.
fn point(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',').unwrap_or((text, ""));
    let mut groups = whole.split('.');
    let first = groups.next()?;
    let grouped =
        groups.all(|group| group.len() == 3) && (!whole.contains('.') || first.trim_start_matches('-').len() <= 3);
    (grouped && !fraction.contains(['.', ','])).then(|| format!("{}.{fraction}", whole.replace('.', "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        use Decimal::{Comma, Either, Point};
        for (decimal, text, expected) in [
            (Point, "21.5", Cell::Number(21.5)),
            (Point, "-1e3", Cell::Number(-1000.0)),
            (Point, "+7", Cell::Number(7.0)),
            (Point, "21,5", Cell::Other),
            (Point, "1e999", Cell::Other),
            (Point, "inf", Cell::Other),
            (Point, "21.5 °C", Cell::Other),
            (Comma, "21,5", Cell::Number(21.5)),
            (Comma, "-0,25", Cell::Number(-0.25)),
            (Comma, "1,5e3", Cell::Number(1500.0)),
            (Comma, "1.234,5", Cell::Number(1234.5)),
            (Comma, "-12.345.678", Cell::Number(-12_345_678.0)),
            (Comma, "21", Cell::Number(21.0)),
            (Comma, "21.5", Cell::Other),
            (Comma, "1234.567,8", Cell::Other),
            (Comma, "1,2,3", Cell::Other),
            (Comma, ",", Cell::Other),
            (Either, "21.5", Cell::Number(21.5)),
            (Either, "21,5", Cell::Number(21.5)),
            (Either, "1.234,5", Cell::Number(1234.5)),
            (Either, "1,234,5", Cell::Other),
        ] {
            assert_eq!(decimal.read(text), expected, "{text} {decimal:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_missing() {
        for text in ["", "NaN", "nan", "NULL", "None", "N/A", "-", "unavailable"] {
            for decimal in [Decimal::Point, Decimal::Comma, Decimal::Either] {
                assert_eq!(decimal.read(text), Cell::Missing, "{text:?}");
            }
        }
    }
}
