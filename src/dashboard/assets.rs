//! What browsers are given beside the page itself, out of the program: scripts and styles. A name holds its content's
//! digest, so that a browser keeps what has not changed and never takes an older version's.

use std::sync::LazyLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// A file, by where it is served.
#[derive(Debug)]
pub(super) struct Asset {
    pub path: String,
    kind: &'static str,
    content: &'static str,
}

pub(super) static PAGE_JS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page", "js", JAVASCRIPT, include_str!("assets/page.js")));
pub(super) static PAGE_CSS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("page", "css", CSS, include_str!("assets/page.css")));
pub(super) static UPLOT_JS: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new(
        "uplot",
        "js",
        JAVASCRIPT,
        include_str!("assets/uplot/uPlot.iife.min.js"),
    )
});
pub(super) static UPLOT_CSS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("uplot", "css", CSS, include_str!("assets/uplot/uPlot.min.css")));

/// The file that is served there.
pub(super) fn find(path: &str) -> Option<Response> {
    let all = [&PAGE_JS, &PAGE_CSS, &UPLOT_JS, &UPLOT_CSS];
    let asset = all.into_iter().find(|asset| asset.path == path)?;
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Some((headers, asset.content).into_response())
}

impl Asset {
    fn new(name: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self {
            path: format!("/assets/{name}.{digest}.{ending}"),
            kind,
            content,
        }
    }
}
