//! Incidents as cards: open ones first.

use processor::incidents::Incident;
use processor::message::description;
use processor::message::text::{printable, utc};

use super::controls::{hidden, post, token};
use super::html::{aside, badge, link, section};
use super::incident_stores::Kept;
use super::markup::{Html, each, tag};
use super::session::Visitor;
use super::state::Control;
use crate::control::status::Status;
use crate::incidents::{lasted, notes};
use crate::sink;

/// How many are shown.
const SHOWN: usize = 8;

/// How long an incident can be muted for.
const MUTES: [(&str, &str); 5] = [
    ("15m", "15 minutes"),
    ("1h", "an hour"),
    ("4h", "4 hours"),
    ("24h", "a day"),
    ("168h", "a week"),
];

pub(super) fn part(status: &Status, kept: &Kept, control: &Control, notice: Option<Html>) -> Html {
    let content = match kept {
        Kept::Here(all) => list(all, control),
        Kept::Unknown(error) => {
            let text = format!("Incidents cannot be read: {error}");
            tag("p").class("notice failed").of(text)
        }
        Kept::Elsewhere if status.sink == sink::Kind::Kinesis => {
            let setting = tag("code").of("dashboard.incidents_table");
            let command = tag("code").of("temp-ingest incidents list --table NAME");
            let how = (" to see them here, or ask ", command, ".");
            tag("p").of((
                "The functions behind the stream keep incidents in a table: name it as ",
                setting,
                how,
            ))
        }
        Kept::Elsewhere => tag("p").of("Nothing is judged here, so there are no incidents."),
    };
    section("incidents", "Incidents", (notice, content))
}

fn list(all: &[Incident], control: &Control) -> Html {
    let open = all.iter().filter(|incident| incident.open).count();
    let shown = &all[..SHOWN.min(all.len())];
    let said = match (open, all.first()) {
        (0, None) => "No incidents so far.".to_owned(),
        (0, Some(_)) => "No open incident.".to_owned(),
        (1, Some(first)) => format!("1 open incident: {}.", printable(first.latest.sensor.id())),
        (_, _) => format!("{open} open incidents."),
    };
    // What decides how the list is built; times and values within change all the while.
    let shape = |incident: &Incident| {
        let (acknowledged, muted) = (incident.acknowledged.is_some(), incident.muted_until.is_some());
        format!("{} {} {acknowledged} {muted}", incident.id, incident.open)
    };
    let shape: Vec<String> = shown.iter().map(shape).collect();
    let cards = each(shown, |incident| tag("li").class("card").of(card(incident, control)));
    let older = (all.len() > SHOWN).then(|| {
        let command = tag("code").of("temp-ingest incidents list");
        tag("p").class("hint").of(("All of them: ", command))
    });
    tag("div").class("stack").of((
        tag("p")
            .class("said")
            .with("role", "status")
            .live("incidents-said")
            .of(said),
        tag("ul")
            .class("cards")
            .id("incident-list")
            .with("data-shape", shape.join(";"))
            .of(cards),
        older,
    ))
}

fn card(incident: &Incident, control: &Control) -> Html {
    let (latest, id) = (&incident.latest, &incident.id);
    let sensor = printable(latest.sensor.id());
    let group = latest
        .sensor
        .group()
        .map(|group| (" ", tag("span").class("group").of(printable(group))));
    let to = format!("/?{}#readings", super::readings::query(latest.sensor.id()));
    let state = if incident.open {
        badge("badge bad", "open")
    } else {
        badge("badge good", "resolved")
    };
    let since = tag("time")
        .with("datetime", latest.since.to_string())
        .of(utc(latest.since));
    let facts = (
        tag("span").of(("score ", tag("strong").of(format!("{:.1}", latest.peak)))),
        tag("span").of(("since ", since)),
        tag("span").of(format!("lasted {}", lasted(latest))),
        each(notes(incident), |note| tag("span").of(note)),
    );
    let controls = match control {
        Control::On(visitor) => controls(incident, &sensor, visitor),
        Control::LoggedOut | Control::Off => Html::default(),
    };
    tag("div").class("stack").of((
        tag("div")
            .class("head")
            .of((tag("h3").of((link(&to, &sensor), group)), state)),
        tag("p")
            .class("words")
            .live(format!("words-{id}"))
            .of(description::of(latest).join("; ")),
        tag("p").class("facts").live(format!("facts-{id}")).of(facts),
        controls,
    ))
}

fn controls(incident: &Incident, sensor: &str, visitor: &Visitor) -> Html {
    let id = &incident.id;
    let about = || (token(visitor), hidden("id", id));
    let button = |what: &str, name: &str| {
        let of = aside(format!(" the incident of {sensor}"));
        tag("button")
            .class("quiet")
            .with("name", "do")
            .with("value", what)
            .of((name, of))
    };
    let acknowledge = incident
        .acknowledged
        .is_none()
        .then(|| post("/incident").of((about(), button("acknowledge", "Acknowledge"))));
    let mute = (incident.open && incident.muted_until.is_none()).then(|| {
        let select_id = format!("mute-{id}");
        let label = tag("label").class("aside").with("for", &select_id);
        let option = |(value, name): (&'static str, &'static str)| {
            tag("option")
                .with("value", value)
                .flag("selected", value == "1h")
                .of(name)
        };
        let select = tag("select").id(&select_id).with("name", "for").of(each(MUTES, option));
        let label = label.of(format!("Mute the incident of {sensor} for"));
        post("/incident").of((about(), label, select, button("mute", "Mute")))
    });
    tag("div").class("actions").of((acknowledge, mute))
}
