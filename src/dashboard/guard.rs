//! What every answer of the page says to browsers, and which requests are no person's own doing.

use std::net::IpAddr;

use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::response::Response;

/// Nothing but what the daemon itself serves: no script and no style within a document, no other host, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const SAID: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Other sites are told nothing. With "no-referrer" browsers would not say that a form is our own, either.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
];

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// A name that somebody else may have pointed to this machine.
    #[error(
        "the page is asked for by localhost, by an address, or by a name listed in dashboard.hosts, not by {0:?}: \
         add the name there, where it is yours"
    )]
    Host(String),
    /// Another site's page sent it.
    #[error("this request was sent by the page of another site: nothing was changed")]
    Foreign,
}

/// Adds what is said with every answer.
pub(super) fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in SAID {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Refuses a host that is neither this machine's own name nor an address nor one of `names`: a page of another site could
/// otherwise have its own name answered by this daemon, and read what it says.
pub(super) fn check_host(headers: &HeaderMap, names: &[String]) -> Result<(), Refused> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = without_port(host);
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_ours = name.eq_ignore_ascii_case("localhost") || names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match is_address || is_ours {
        true => Ok(()),
        false => Err(Refused::Host(host.to_owned())),
    }
}

/// Refuses what a browser says another site's page sent. Programs that are no browsers say nothing of it.
pub(super) fn check_origin(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
    {
        return Err(Refused::Foreign);
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else {
        return Ok(());
    };
    let host = headers.get(HOST).map(text).unwrap_or_default();
    // What stands before the daemon may speak TLS.
    let same = ["http://", "https://"]
        .iter()
        .any(|scheme| origin.strip_prefix(scheme).is_some_and(|authority| authority == host));
    match same {
        true => Ok(()),
        false => Err(Refused::Foreign),
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The last colon of an address without a port stands between its brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let all = all
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        all.collect()
    }

    #[test]
    fn names_that_others_could_own_are_refused() {
        let names = ["plant.example".to_owned()];
        for host in [
            "localhost",
            "LocalHost:9184",
            "127.0.0.1:9184",
            "192.0.2.7",
            "[::1]:9184",
            "[::1]",
            "Plant.Example:80",
        ] {
            assert_eq!(check_host(&headers(&[("host", host)]), &names), Ok(()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9184",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            let refused = check_host(&headers(&[("host", host)]), &names).unwrap_err();
            assert_eq!(refused, Refused::Host(host.to_owned()));
        }
        assert!(check_host(&HeaderMap::new(), &names).is_err());
    }

    #[test]
    fn what_another_site_sent_is_refused() {
        let host = ("host", "127.0.0.1:9184");
        for own in [
            &[host][..],
            &[host, ("origin", "http://127.0.0.1:9184")],
            &[host, ("origin", "https://127.0.0.1:9184")],
            &[
                host,
                ("origin", "http://127.0.0.1:9184"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert_eq!(check_origin(&headers(own)), Ok(()), "{own:?}");
        }
        for foreign in [
            &[host, ("origin", "http://127.0.0.1:8080")][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("sec-fetch-site", "cross-site")],
            // Another port of this machine is another site to us, not to the browser.
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert_eq!(check_origin(&headers(foreign)), Err(Refused::Foreign), "{foreign:?}");
        }
    }
}
