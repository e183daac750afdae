//! Who may change something: the bearer of a token of `dashboard.token_file`, either with each request or once, by logging in.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::{info, warn};

use super::login_limiter::{Denied, LoginLimiter};
use crate::secrets::credential::{self, Stamp};
use crate::secrets::tokens::{Tokens, TokensError};

/// Sessions at once; the one that was idle longest leaves for another.
const SESSIONS: usize = 32;
/// A session ends so long after it was last used,
const IDLE: Duration = Duration::from_secs(60 * 60);
/// and so long after its beginning.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Characters of a name that is noted.
const NAME: usize = 60;

/// Who is let in.
#[derive(Debug)]
pub(super) struct Sessions {
    file: Option<PathBuf>,
    /// Cookies know no ports: two daemons of one machine must not take each other's.
    cookie: String,
    guarded: Mutex<Guarded>,
}

#[derive(Debug)]
struct Guarded {
    tokens: Tokens,
    stamp: Stamp,
    login_limiter: LoginLimiter,
    sessions: Vec<Session>,
}

struct Session {
    /// The digest of what the cookie holds.
    id: [u8; 32],
    visitor: Visitor,
    began: Instant,
    used: Instant,
    said: Option<Said>,
}

/// Somebody who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    /// What every form of theirs holds, so that no other site can send it.
    pub form: String,
    /// What they call themselves.
    pub name: String,
}

/// What became of the last change, for the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// For people.
    pub text: String,
    /// Nothing was changed.
    pub failed: bool,
    /// The part of the page it is said in.
    pub place: &'static str,
}

impl Sessions {
    /// Reads the tokens. Without a file nobody is let in.
    pub(super) fn open(file: Option<PathBuf>, port: u16) -> Result<Self, TokensError> {
        // Before the file is read: one that changes meanwhile is read again.
        let stamp = file.as_deref().and_then(credential::stamp);
        let tokens = file.as_deref().map(Tokens::read).transpose()?.unwrap_or_default();
        Ok(Self {
            file,
            cookie: format!("temp_ingest_{port}"),
            guarded: Mutex::new(Guarded {
                tokens,
                stamp,
                login_limiter: LoginLimiter::default(),
                sessions: Vec::new(),
            }),
        })
    }

    /// True where there are tokens at all.
    pub(super) fn are_possible(&self) -> bool {
        self.file.is_some()
    }

    /// Begins a session; what the browser is to keep.
    pub(super) fn log_in(&self, token: &str, name: &str) -> Result<String, Denied> {
        let mut guarded = self.guarded();
        guarded.look(format!("Bearer {token}").as_bytes())?;
        let id = secret();
        let (now, cookie) = (Instant::now(), &self.cookie);
        if guarded.sessions.len() >= SESSIONS {
            guarded.sessions.sort_by_key(|session| session.used);
            guarded.sessions.remove(0);
        }
        let name: String = name
            .trim()
            .chars()
            .filter(|letter| !letter.is_control())
            .take(NAME)
            .collect();
        guarded.sessions.push(Session {
            id: digest(&id),
            visitor: Visitor { form: secret(), name },
            began: now,
            used: now,
            said: None,
        });
        let seconds = LONGEST.as_secs();
        Ok(format!(
            "{cookie}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}"
        ))
    }

    /// Whose session this is.
    pub(super) fn visitor(&self, headers: &HeaderMap) -> Option<Visitor> {
        self.with_session(headers, |session| session.visitor.clone())
    }

    /// Whether the token of the request itself is let in; `None` where it has none, or there are none at all.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<Result<(), Denied>> {
        let authorization = headers.get(AUTHORIZATION)?.as_bytes();
        // What a proxy asks for in another scheme is its own matter.
        let is_token = authorization.get(..7)?.eq_ignore_ascii_case(b"bearer ");
        (is_token && self.are_possible()).then(|| self.guarded().look(authorization))
    }

    /// Ends a session; what the browser is to keep from now on.
    pub(super) fn log_out(&self, headers: &HeaderMap) -> String {
        if let Some(id) = self.cookie(headers) {
            self.guarded().sessions.retain(|session| !session.is(&id));
        }
        format!("{}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0", self.cookie)
    }

    /// Keeps what is to be said on the next page.
    pub(super) fn say(&self, headers: &HeaderMap, said: Said) {
        self.with_session(headers, |session| session.said = Some(said));
    }

    /// What is to be said, once.
    pub(super) fn said(&self, headers: &HeaderMap) -> Option<Said> {
        self.with_session(headers, |session| session.said.take()).flatten()
    }

    fn with_session<T>(&self, headers: &HeaderMap, then: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let id = self.cookie(headers)?;
        let mut guarded = self.guarded();
        let session = guarded.sessions.iter_mut().find(|session| session.is(&id))?;
        session.used = Instant::now();
        Some(then(session))
    }

    fn cookie(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = pairs
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, id)| digest(id))
    }

    /// What holds now: sessions that have ended are gone, and all of them once the file of tokens has changed.
    fn guarded(&self) -> MutexGuard<'_, Guarded> {
        let mut guarded = self.guarded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        guarded
            .sessions
            .retain(|session| now - session.used < IDLE && now - session.began < LONGEST);
        let Some(file) = &self.file else { return guarded };
        let stamp = credential::stamp(file);
        if stamp != guarded.stamp {
            guarded.stamp = stamp;
            match Tokens::read(file) {
                Ok(tokens) if tokens == guarded.tokens => {}
                Ok(tokens) => {
                    info!(
                        ?tokens,
                        "the page's tokens have changed: every open session has ended: log in again"
                    );
                    guarded.tokens = tokens;
                    guarded.sessions.clear();
                }
                Err(error) => warn!(%error, "the page's tokens of before still hold"),
            }
        }
        guarded
    }
}

impl Guarded {
    fn look(&mut self, authorization: &[u8]) -> Result<(), Denied> {
        let tokens = &self.tokens;
        self.login_limiter.look(|| tokens.admit(Some(authorization)))
    }
}

impl Session {
    fn is(&self, id: &[u8; 32]) -> bool {
        self.id.ct_eq(id).into()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("began", &self.began)
            .finish_non_exhaustive()
    }
}

impl Visitor {
    /// True where a form was one of theirs.
    pub(super) fn sent(&self, form: &str) -> bool {
        self.form.as_bytes().ct_eq(form.as_bytes()).into()
    }
}

/// 256 random bits, which nobody guesses.
fn secret() -> String {
    let bits: [u8; 32] = rand::random();
    bits.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::fs;

    use axum::http::HeaderValue;

    use super::*;

    fn sessions(dir: &tempfile::TempDir) -> Sessions {
        let file = dir.path().join("tokens");
        fs::write(&file, "first-token\nsecond-token\n").unwrap();
        Sessions::open(Some(file), 9184).unwrap()
    }

    fn with_cookie(set: &str) -> HeaderMap {
        let cookie = format!("other=1; {}", set.split(';').next().unwrap());
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&cookie).unwrap())])
    }

    #[test]
    fn a_session_is_its_own_until_it_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = sessions(&dir);
        assert_eq!(sessions.log_in("wrong", "a"), Err(Denied::Wrong));
        assert_eq!(sessions.log_in("", "a"), Err(Denied::Wrong));
        let one = sessions.log_in("first-token", " Ada\n ").unwrap();
        let other = sessions.log_in("second-token", "").unwrap();
        assert!(one.contains("; HttpOnly; SameSite=Strict;"), "{one}");
        let (one, other) = (with_cookie(&one), with_cookie(&other));
        let ada = sessions.visitor(&one).unwrap();
        assert_eq!(ada.name, "Ada");
        assert!(ada.sent(&ada.form.clone()) && !ada.sent("") && !ada.sent(&sessions.visitor(&other).unwrap().form));
        let said = Said {
            text: "done".into(),
            failed: false,
            place: "sources",
        };
        sessions.say(&one, said.clone());
        assert_eq!(sessions.said(&other), None);
        assert_eq!(sessions.said(&one), Some(said));
        assert_eq!(sessions.said(&one), None, "it is said once");
        sessions.log_out(&one);
        assert_eq!(sessions.visitor(&one), None);
        assert!(sessions.visitor(&other).is_some());
    }

    #[test]
    fn sessions_end_by_themselves_and_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = sessions(&dir);
        let log_in = || with_cookie(&sessions.log_in("first-token", "").unwrap());
        let first = log_in();
        let all: Vec<_> = (0..SESSIONS).map(|_| log_in()).collect();
        assert_eq!(sessions.visitor(&first), None);
        assert!(all.iter().all(|one| sessions.visitor(one).is_some()));
        for (at, age) in [(0, IDLE), (1, IDLE - Duration::from_secs(9))] {
            sessions.guarded.lock().unwrap().sessions[at].used -= age;
        }
        sessions.guarded.lock().unwrap().sessions[2].began -= LONGEST;
        assert_eq!(sessions.guarded().sessions.len(), SESSIONS - 2);
    }

    #[test]
    fn who_logged_in_with_a_token_that_was_taken_back_is_out() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = sessions(&dir);
        let session = with_cookie(&sessions.log_in("first-token", "").unwrap());
        let file = sessions.file.clone().unwrap();
        fs::write(&file, "not sendable\n").unwrap();
        assert!(sessions.visitor(&session).is_some(), "a damaged file changes nothing");
        fs::write(&file, "third-token\n").unwrap();
        assert_eq!(sessions.visitor(&session), None);
        assert_eq!(sessions.log_in("first-token", ""), Err(Denied::Wrong));
        let bearer = |token: &str| {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
            sessions.token(&HeaderMap::from_iter([(AUTHORIZATION, value)]))
        };
        assert_eq!(bearer("third-token"), Some(Ok(())));
        assert_eq!(bearer("second-token"), Some(Err(Denied::Wrong)));
    }

    #[test]
    fn without_tokens_nobody_is_let_in() {
        let sessions = Sessions::open(None, 9184).unwrap();
        assert!(!sessions.are_possible());
        assert_eq!(sessions.log_in("", ""), Err(Denied::Wrong));
        let bearer = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer "))]);
        assert_eq!(sessions.token(&bearer), None);
    }
}
