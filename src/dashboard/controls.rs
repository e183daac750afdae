//! The HTML of forms that change something.

use super::markup::{Html, Tag, each, tag};
use super::session::Visitor;

/// A form that changes something.
pub(super) fn post(action: &str) -> Tag {
    tag("form").with("method", "post").with("action", action)
}

pub(super) fn field(name: &'static str, label: &str, hint: &str, kind: impl Fn(Tag) -> Tag) -> Html {
    let hint_id = format!("{name}-hint");
    let input = tag("input")
        .id(name)
        .with("name", name)
        .with("aria-describedby", &hint_id);
    tag("p").class("field").of((
        tag("label").with("for", name).of(label),
        kind(input).void(),
        tag("span").class("hint").id(&hint_id).of(hint),
    ))
}

/// What makes a form one of this visitor's.
pub(super) fn token(visitor: &Visitor) -> Html {
    hidden("form", &visitor.form)
}

/// What a form says beside what is typed into it.
pub(super) fn hidden(name: &str, value: &str) -> Html {
    let input = tag("input").with("type", "hidden");
    input.with("name", name).with("value", value).void()
}

/// How control is turned on, where it is off.
pub(super) fn how_to_turn_on() -> Html {
    let code = |text: &'static str| tag("code").of(text);
    let steps = [
        ("make a token: ", code("(umask 077; openssl rand -hex 32 > tokens)"), ""),
        (
            "name the file in the configuration, in the table [dashboard]: ",
            code("token_file = \"/path/to/tokens\""),
            "",
        ),
        (
            "start the daemon again, and log in with the token.",
            Html::default(),
            "",
        ),
    ];
    let why = "Nothing can be changed here yet, because there is no token. To turn control on:";
    tag("div").of((tag("p").of(why), tag("ol").of(each(steps, |step| tag("li").of(step)))))
}

pub(super) fn bare_header() -> Html {
    tag("header").class("top").of(tag("h1").of("temp-ingest"))
}
