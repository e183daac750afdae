//! Numbers, times and the frame of the page, as people read them.

use std::time::Duration;

use values::duration::friendly;

use super::assets::{Asset, PAGE_CSS, PAGE_JS, UPLOT_CSS, UPLOT_JS};
use super::markup::{self, Html, Part, tag};

/// A whole document.
pub(super) fn document(title: &str, header: impl Part, main: impl Part) -> String {
    let meta = |name: &str, content: &str| tag("meta").with("name", name).with("content", content).void();
    let style = |asset: &Asset| tag("link").with("rel", "stylesheet").with("href", &asset.path).void();
    let script = |asset: &Asset| tag("script").with("src", &asset.path).flag("defer", true).of(());
    let head = tag("head").of((
        tag("meta").with("charset", "utf-8").void(),
        meta("viewport", "width=device-width, initial-scale=1"),
        meta("color-scheme", "light dark"),
        tag("title").of(title),
        tag("link").with("rel", "icon").with("href", "data:,").void(),
        (style(&UPLOT_CSS), style(&PAGE_CSS)),
        (script(&UPLOT_JS), script(&PAGE_JS)),
    ));
    let footer = tag("footer").of(tag("p").of((
        concat!("temp-ingest ", env!("CARGO_PKG_VERSION"), " · "),
        (link("/metrics", "metrics"), " · "),
        (link("/healthz", "health"), " · "),
        link("/readyz", "readiness"),
    )));
    let body = tag("body").of((
        tag("a").class("skip").with("href", "#main").of("Skip to content"),
        header,
        tag("main").id("main").with("tabindex", "-1").of(main),
        footer,
    ));
    markup::document(&tag("html").with("lang", "en").of((head, body)))
}

/// A part of the page under a heading of its own.
pub(super) fn section(id: &'static str, title: &str, content: impl Part) -> Html {
    let heading = format!("{id}-title");
    let named = tag("section").id(id).with("aria-labelledby", &heading);
    named.of((tag("h2").id(&heading).of(title), content))
}

pub(super) fn link(to: &str, text: impl Part) -> Html {
    tag("a").with("href", to).of(text)
}

/// What is said to those who do not see where a button stands.
pub(super) fn aside(text: impl Part) -> Html {
    tag("span").class("aside").of(text)
}

/// A state in a word.
pub(super) fn badge(class: &'static str, word: &str) -> Html {
    tag("span").class(class).of(word)
}

/// A table that can be scrolled where it is too wide; the last part is its body.
pub(super) fn table(name: &str, columns: &[(&str, bool)], body: Html) -> Html {
    let column = |(name, is_number): &(&str, bool)| {
        let cell = tag("th").with("scope", "col");
        if *is_number {
            cell.class("number").of(*name)
        } else {
            cell.of(*name)
        }
    };
    let head = tag("thead").of(tag("tr").of(markup::each(columns, column)));
    let scroll = tag("div").class("scroll").with("tabindex", "0").with("role", "group");
    scroll.with("aria-label", name).of(tag("table").of((head, body)))
}

/// A number with its thousands apart: `12,345`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Readings a second, to as many digits as matter.
pub(super) fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate >= 100.0 => count(rate.round() as u64),
        Some(rate) => format!("{rate:.1}"),
    }
}

/// Bytes, in the unit that leaves few digits.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) if bytes.is_multiple_of(*unit) => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

/// A length of time, to the second; to the tenth where it is shorter than ten.
pub(super) fn age(age: Duration) -> String {
    match age.as_millis() as u64 {
        0..100 => "0s".to_owned(),
        millis @ 100..10_000 => format!("{:.1}s", millis as f64 / 1e3),
        millis => friendly(Duration::from_secs(millis / 1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_people_read_them() {
        assert_eq!(
            [0, 999, 1_000, 123_456, 1_234_567].map(count),
            ["0", "999", "1,000", "123,456", "1,234,567"]
        );
        assert_eq!(
            [None, Some(0.04), Some(9.96), Some(1234.5)].map(rate),
            ["–", "0.0", "10.0", "1,235"]
        );
        assert_eq!(
            [0, 1_023, 1 << 20, 33_600_000, 5 << 30].map(bytes),
            ["0 B", "1023 B", "1 MiB", "32.0 MiB", "5 GiB"]
        );
        assert_eq!(
            [0, 1_234, 61_400, 7_200_000].map(|millis| age(Duration::from_millis(millis))),
            ["0s", "1.2s", "1m 1s", "2h"]
        );
    }
}
