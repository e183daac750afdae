//! The template of a simulated source, edited as text: it is used only where it holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{self, IntoResponse, Redirect, Response};
use sha2::{Digest, Sha256};
use simulate::{Choice, Template};

use super::admitted_form::AdmittedForm;
use super::control::{answer, ordered};
use super::controls::{bare_header, hidden, post, token};
use super::form::query;
use super::html::{document, link, section};
use super::markup::{Html, each, tag};
use super::session::Visitor;
use super::state::{Control, Dashboard};
use crate::control::overrides::Change;

/// Where templates are kept that were edited here, in the folder of the daemon's state.
const FOLDER: &str = "templates";

/// Where a person edits one.
pub(super) fn path(source: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("name", source)
        .finish();
    format!("/template?{query}")
}

/// The text of a source's template, to be edited.
pub(super) async fn edit(State(page): State<Arc<Dashboard>>, headers: HeaderMap, uri: Uri) -> Response {
    let Control::On(visitor) = page.control(&headers) else {
        return Redirect::to("/log-in").into_response();
    };
    let name = query(&uri, "name").unwrap_or_default();
    match text_of(&page, &name) {
        Ok(text) => response::Html(editor(&visitor, &name, &text, &[])).into_response(),
        Err(why) => (StatusCode::NOT_FOUND, format!("{why}\n")).into_response(),
    }
}

/// Takes a text up where it holds; else shows it again with all that is wrong.
pub(super) async fn take(State(page): State<Arc<Dashboard>>, headers: HeaderMap, sent: AdmittedForm) -> Response {
    let AdmittedForm { asker, form } = sent;
    let name = form.field("name").to_owned();
    // Browsers send the ends of lines as HTML has them.
    let text = form.field("text").replace("\r\n", "\n") + "\n";
    if let Err(problems) = Template::parse(&name, &text) {
        let shown = match page.control(&headers) {
            Control::On(visitor) => response::Html(editor(&visitor, &name, &text, &problems)).into_response(),
            Control::LoggedOut | Control::Off => problems.join("\n").into_response(),
        };
        return (StatusCode::UNPROCESSABLE_ENTITY, shown).into_response();
    }
    let dir = page.shown().status.borrow().state_dir.join(FOLDER);
    let done = match keep(&dir, &text) {
        Ok(file) => ordered(&page, Change::Template(name, file)).await,
        Err(error) => Err(format!("keeping the template in {}: {error}", dir.display())),
    };
    answer(&page, &headers, &asker, done, "sources")
}

fn text_of(page: &Dashboard, source: &str) -> Result<String, String> {
    let shown = page.shown();
    let status = shown.status.borrow();
    let row = status.sources.iter().find(|row| row.name == source);
    let text = match row.and_then(|row| row.settings.profile.as_ref()) {
        Some(Choice::BuiltIn(name)) => Template::text(*name).map(str::to_owned),
        Some(Choice::File(file)) => {
            let read = fs::read_to_string(file).map_err(|error| format!("reading {}: {error}", file.display()));
            Some(read?)
        }
        None => None,
    };
    text.ok_or_else(|| format!("there is no source {source:?} with a template"))
}

/// Each text has a file of its own: what runs by an older one is not changed under its feet.
fn keep(dir: &Path, text: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(dir)?;
    let digest = Sha256::digest(text.as_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let file = dir.join(format!("{name}.toml"));
    let unfinished = dir.join(format!("{name}.unfinished"));
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, &file)?;
    Ok(file)
}

fn editor(visitor: &Visitor, name: &str, text: &str, problems: &[String]) -> String {
    let wrong = (!problems.is_empty()).then(|| {
        let all = each(problems, |problem| tag("pre").of(problem));
        tag("div")
            .class("notice failed")
            .id("wrong")
            .with("role", "alert")
            .with("tabindex", "-1")
            .of(all)
    });
    let area = tag("textarea")
        .id("text")
        .with("name", "text")
        .with("rows", "28")
        .with("spellcheck", "false");
    let area = area.flag("required", true).with("aria-describedby", "text-hint");
    let hint = "It is checked first. Where it holds, the source starts again with it, until the daemon ends; the file of \
                before is left as it is.";
    let form = post("/template").class("steps").of((
        (token(visitor), hidden("name", name)),
        tag("label").with("for", "text").of(("Template of ", name)),
        // A line end that begins a text area is not part of it.
        area.of(("\n", text)),
        tag("span").class("hint").id("text-hint").of(hint),
        tag("p")
            .class("actions")
            .of((tag("button").of("Use this template"), link("/", "Back"))),
    ));
    let content: (Option<Html>, Html) = (wrong, form);
    let main = tag("div")
        .class("card")
        .of(section("template", "Edit a template", content));
    document("Template – temp-ingest", bare_header(), main)
}
