//! Limits attempts with wrong tokens: after ten within a minute no token is checked, right or wrong, for the rest of
//! that minute. Attempts are counted over all clients, because on a loopback address clients cannot be told apart.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

/// Wrong tokens that are checked per window.
const MOST: u32 = 10;
/// The window, which begins with the first wrong token.
const WINDOW: Duration = Duration::from_secs(60);

/// The wrong tokens in the current window.
#[derive(Debug)]
pub(super) struct LoginLimiter {
    began: Instant,
    wrong: u32,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// It is not one of the accepted tokens.
    #[error("wrong token: tokens are lines of the file that dashboard.token_file names")]
    Wrong,
    /// It was not checked, and none will be for this long.
    #[error(
        "after {MOST} wrong tokens within {} seconds no token is checked, not even a right one: try again in {} s; \
         whoever is logged in goes on",
        WINDOW.as_secs(), seconds(.0)
    )]
    Later(Duration),
}

impl LoginLimiter {
    /// Checks a token, unless there were too many wrong ones.
    pub(super) fn look(&mut self, is_right: impl FnOnce() -> bool) -> Result<(), Denied> {
        let now = Instant::now();
        let left = WINDOW.saturating_sub(now - self.began);
        if left.is_zero() {
            self.wrong = 0;
        }
        if self.wrong >= MOST {
            return Err(Denied::Later(left));
        }
        if is_right() {
            return Ok(());
        }
        if self.wrong == 0 {
            self.began = now;
        }
        self.wrong += 1;
        Err(Denied::Wrong)
    }
}

impl Default for LoginLimiter {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            wrong: 0,
        }
    }
}

impl Denied {
    /// The reason in one word, the label of the metric.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Later(_) => "limit",
        }
    }

    /// The answer with another body.
    pub(super) fn answer(self, body: impl IntoResponse) -> Response {
        match self {
            Self::Wrong => (StatusCode::FORBIDDEN, body).into_response(),
            Self::Later(left) => {
                let again = [(RETRY_AFTER, seconds(&left).to_string())];
                (StatusCode::TOO_MANY_REQUESTS, again, body).into_response()
            }
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        self.answer(format!("{self}\n"))
    }
}

/// Rounds up, so that a client that waits this long is not too early.
fn seconds(left: &Duration) -> u64 {
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_ten_wrong_tokens_none_is_looked_at_until_the_minute_is_over() {
        let mut login_limiter = LoginLimiter::default();
        // The window begins with the first wrong token, not with the daemon.
        tokio::time::advance(WINDOW / 2).await;
        for _ in 0..MOST {
            assert_eq!(login_limiter.look(|| true), Ok(()), "right ones do not count");
            assert_eq!(login_limiter.look(|| false), Err(Denied::Wrong));
        }
        tokio::time::advance(WINDOW - Duration::from_millis(1_500)).await;
        let denied = login_limiter.look(|| unreachable!("no token is looked at"));
        assert_eq!(denied, Err(Denied::Later(Duration::from_millis(1_500))));
        let answer = Denied::Later(Duration::from_millis(1_500)).into_response();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[RETRY_AFTER], "2");
        tokio::time::advance(Duration::from_millis(1_500)).await;
        assert_eq!(login_limiter.look(|| true), Ok(()));
        // Wrong tokens before the window are forgotten.
        for _ in 0..MOST {
            assert_eq!(login_limiter.look(|| false), Err(Denied::Wrong));
        }
        assert_eq!(login_limiter.look(|| true), Err(Denied::Later(WINDOW)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_token_now_and_then_stops_nobody() {
        let mut login_limiter = LoginLimiter::default();
        for _ in 0..3 * MOST {
            // The window has room for one more.
            tokio::time::advance(WINDOW / MOST + Duration::from_secs(1)).await;
            assert_eq!(login_limiter.look(|| false), Err(Denied::Wrong));
        }
        assert_eq!(login_limiter.look(|| true), Ok(()));
    }
}
