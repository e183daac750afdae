//! Sources: what each is, whether it runs, how fast, and what can be changed of it.

use sha2::{Digest, Sha256};

use super::controls::{hidden, how_to_turn_on, post, token};
use super::html::{aside, badge, count, link, rate, section};
use super::markup::{Html, each, tag};
use super::rate_sampler::Rates;
use super::session::Visitor;
use super::state::Control;
use crate::control::overrides::{has_template, rate as rate_of};
use crate::control::status::{Row, State, Status};
use crate::sink;
use crate::source::Settings;
use crate::source::settings::Kind;

pub(super) fn part(status: &Status, rates: &Rates, control: &Control, notice: Option<Html>) -> Html {
    let visitor = match control {
        Control::On(visitor) => Some(visitor),
        Control::LoggedOut | Control::Off => None,
    };
    let cards = each(&status.sources, |row| {
        tag("li").class("card").of(card(row, rates, visitor))
    });
    let none = status
        .sources
        .is_empty()
        .then(|| tag("p").of("There is none: what is in the spool is delivered."));
    let shape = |row: &Row| format!("{} {:?} {} {:?}", row.name, row.state, row.changed, row.settings);
    let shape = status.sources.iter().map(shape).collect::<Vec<_>>().join(";");
    let list = tag("ul")
        .class("cards")
        .id("source-list")
        .with("data-shape", digest(&shape))
        .of(cards);
    let how = match control {
        Control::Off => {
            let summary = tag("summary").of("How to start, stop and change them here");
            tag("details").of((summary, how_to_turn_on()))
        }
        Control::LoggedOut => tag("p").of((link("/log-in", "Log in"), " to start, stop and change them.")),
        Control::On(_) => tag("p").class("hint").of(
            "What is changed here holds until the daemon ends, also when it loads its configuration anew. To keep it, write it \
             into the configuration.",
        ),
    };
    section(
        "sources",
        "Sources",
        (notice, visitor.map(|visitor| stream(status, visitor)), none, list, how),
    )
}

/// Where readings go, to be changed.
fn stream(status: &Status, visitor: &Visitor) -> Option<Html> {
    let now = match status.sink {
        sink::Kind::Kinesis => status.stream.as_deref().unwrap_or_default(),
        sink::Kind::Embedded | sink::Kind::Stdout => return None,
    };
    let input = tag("input")
        .id("stream")
        .with("name", "stream")
        .with("value", now)
        .flag("required", true);
    let input = input
        .with("autocomplete", "off")
        .with("spellcheck", "false")
        .with("aria-describedby", "stream-hint");
    let hint = "What is under way is delivered to the stream of before; then the daemon starts again with this one.";
    Some(post("/stream").class("stack").of((
        tag("div").class("choice").of((
            token(visitor),
            tag("label").with("for", "stream").of("Stream, by name or ARN"),
            input.void(),
            tag("button").of("Use this stream"),
        )),
        tag("span").class("hint").id("stream-hint").of(hint),
    )))
}

fn card(row: &Row, rates: &Rates, visitor: Option<&Visitor>) -> Html {
    let name = &row.name;
    let state = match row.state {
        State::Running => "badge good",
        State::Stopping | State::Stopped => "badge",
    };
    let rate = rate(rates.sources.get(name).copied());
    let facts = (
        tag("span").of((tag("strong").of(rate), " readings/s")),
        tag("span").of(format!("{} readings", count(row.produced.get()))),
        row.changed.then(|| tag("span").of("changed here")),
    );
    tag("div").class("stack").of((
        tag("div")
            .class("head")
            .of((tag("h3").of(name), badge(state, row.state.as_str()))),
        tag("p").class("words").of(described(&row.settings)),
        tag("p").class("facts").live(format!("source-{name}")).of(facts),
        visitor.map(|visitor| controls(row, visitor)),
    ))
}

fn controls(row: &Row, visitor: &Visitor) -> Html {
    let name = &row.name;
    let button = |what: &str, class: &'static str, text: &str| {
        let of = aside(format!(" of {name}"));
        tag("button")
            .class(class)
            .with("name", "do")
            .with("value", what)
            .of((text, of))
    };
    let simulated = row.settings.kind == Some(Kind::Simulate);
    let start = (!simulated && row.state != State::Running).then(|| button("start", "", "Start"));
    let data = simulated.then(|| {
        let start = (row.state != State::Running).then(|| button("start", "quiet", "Start"));
        (
            button("normal", "", "Start normal data"),
            button("anomalies", "", "Start anomaly data"),
            start,
        )
    });
    let stop = (row.state == State::Running).then(|| button("stop", "quiet", "Stop"));
    let about = || (token(visitor), hidden("name", name));
    let has_rate = simulated || row.settings.kind == Some(Kind::Replay);
    let rate = has_rate.then(|| {
        let id = format!("rate-{name}");
        let label = if simulated {
            "Readings a second"
        } else {
            "Times real time"
        };
        let label = (label, aside(format!(" of {name}")));
        let input = tag("input")
            .id(&id)
            .with("name", "rate")
            .with("value", rate_of(&row.settings).map(plain).unwrap_or_default())
            .with("inputmode", "decimal");
        let input = input.class("short").flag("required", true).with("autocomplete", "off");
        let label = tag("label").with("for", &id).of(label);
        post("/source").of((about(), label, input.void(), button("rate", "quiet", "Set")))
    });
    let template = has_template(&row.settings).then(|| {
        let of = aside(format!(" of {name}"));
        link(&super::template::path(name), ("Edit the template", of))
    });
    let buttons = post("/source").class("actions").of((about(), start, data, stop));
    tag("div")
        .class("stack")
        .of((buttons, tag("div").class("actions").of((rate, template))))
}

/// A number without the digits that only the computer's arithmetic makes.
fn plain(number: f64) -> String {
    ((number * 1e3).round() / 1e3).to_string()
}

/// Settings may be long, and hold what need not stand in a document.
fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What a source is, in words.
fn described(settings: &Settings) -> String {
    let path = settings.path.as_ref().map(|path| path.display().to_string());
    let speed = settings
        .speed
        .map(|speed| format!(", speed {speed}"))
        .unwrap_or_default();
    match settings.kind {
        Some(Kind::Simulate) => {
            let sensors = settings.sensors.map_or(1, u32::from);
            let profile = settings.profile.as_ref().map(ToString::to_string).unwrap_or_default();
            let faults = settings.faults.map_or(0.0, f64::from);
            let faults = if faults > 0.0 { ", with faults" } else { "" };
            let plural = if sensors == 1 { "" } else { "s" };
            format!(
                "simulated: {} sensor{plural} of profile {profile}{speed}{faults}",
                count(sensors.into())
            )
        }
        Some(Kind::Replay) => format!("replay of {}{speed}", path.unwrap_or_default()),
        Some(Kind::Http) => match &settings.listen {
            Some(listen) => format!("readings by POST to {}", listen.0),
            None => "readings by POST".to_owned(),
        },
        Some(Kind::Mqtt) => format!(
            "messages of {}",
            settings.servers.clone().unwrap_or_default().join(", ")
        ),
        Some(Kind::Stdin) => "readings on standard input".to_owned(),
        None => String::new(),
    }
}
