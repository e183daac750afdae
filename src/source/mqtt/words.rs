//! What devices write where a number could be.

/// A number written as text; never infinite.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// True where a text says that there is no value now, as Home Assistant, ESPHome and others do.
pub(super) fn is_absent(text: &str) -> bool {
    let words = ["", "unavailable", "unknown", "none", "null", "nan", "online", "offline"];
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// What a switch or contact says.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let any = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match text {
        _ if any(["on", "true", "open"]) => Some(true),
        _ if any(["off", "false", "closed"]) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_case() {
        assert_eq!(number(" 21.5 "), Some(21.5));
        assert_eq!(number("nan"), None);
        assert_eq!(number("inf"), None);
        assert!(is_absent("Unavailable") && is_absent("NaN") && !is_absent("21"));
        assert_eq!(boolean("ON"), Some(true));
        assert_eq!(boolean("Closed"), Some(false));
        assert_eq!(boolean("ajar"), None);
    }
}
