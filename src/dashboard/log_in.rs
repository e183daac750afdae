//! The form that asks for a token.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{self, IntoResponse, Response};

use super::controls::{bare_header, field, how_to_turn_on, post};
use super::html::{document, link, section};
use super::markup::tag;
use super::state::Dashboard;

/// Where a token is asked for.
pub(super) async fn log_in(State(page): State<Arc<Dashboard>>) -> Response {
    response::Html(log_in_form(&page, None)).into_response()
}

/// The form, and what was wrong with what was sent.
pub(super) fn log_in_form(page: &Dashboard, wrong: Option<&str>) -> String {
    let wrong = wrong.map(|wrong| tag("p").class("notice failed").with("role", "alert").of(wrong));
    let back = link("/", "Back");
    let content = match page.sessions.are_possible() {
        true => post("/log-in").of((
            field(
                "name",
                "Your name",
                "Noted with the incidents that you acknowledge.",
                |input| input.with("autocomplete", "username").with("maxlength", "60"),
            ),
            field(
                "token",
                "Token",
                "A line of the file that dashboard.token_file names.",
                |input| {
                    let input = input.with("type", "password").with("autocomplete", "current-password");
                    input.flag("required", true)
                },
            ),
            tag("p").class("actions").of((tag("button").of("Log in"), back)),
        )),
        false => tag("div").class("steps").of((how_to_turn_on(), back)),
    };
    let main = tag("div")
        .class("card narrow")
        .of(section("log-in", "Log in to change what runs", (wrong, content)));
    document("Log in – temp-ingest", bare_header(), main)
}
