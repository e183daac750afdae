//! Wrong tokens are few: after some within a minute none is looked at, right or wrong, for the rest of that minute. They
//! are counted over all clients: on a loopback address these cannot be told apart.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

/// So many wrong tokens are looked at
const MOST: u32 = 10;
/// within this time, which begins with the first of them.
const WINDOW: Duration = Duration::from_secs(60);

/// The wrong tokens of the window that was begun last.
#[derive(Debug)]
pub(super) struct LoginLimiter {
    began: Instant,
    wrong: u32,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// It is none of ours.
    #[error("wrong token: tokens are lines of the file that dashboard.token_file names")]
    Wrong,
    /// It was not looked at, nor is any for so long.
    #[error(
        "after {MOST} wrong tokens within {} seconds none is looked at, not even a right one: try again in {} s; \
         open sessions continue",
        WINDOW.as_secs(), seconds(.0)
    )]
    Later(Duration),
}

impl LoginLimiter {
    /// Looks at a token, as long as wrong ones are few.
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
    /// In one word, as it is counted.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Later(_) => "limit",
        }
    }

    /// The same with another body.
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

/// Whoever comes back after so many is not too early.
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
        // What was wrong before the window is forgotten.
        for _ in 0..MOST {
            assert_eq!(login_limiter.look(|| false), Err(Denied::Wrong));
        }
        assert_eq!(login_limiter.look(|| true), Err(Denied::Later(WINDOW)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_token_now_and_then_stops_nobody() {
        let mut login_limiter = LoginLimiter::default();
        for _ in 0..3 * MOST {
            // A window has room for one more.
            tokio::time::advance(WINDOW / MOST + Duration::from_secs(1)).await;
            assert_eq!(login_limiter.look(|| false), Err(Denied::Wrong));
        }
        assert_eq!(login_limiter.look(|| true), Ok(()));
    }
}
