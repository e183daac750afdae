//! Answers requests: checks the client, the route and the limits, hands readings over, and reports the outcome.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Request, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use values::duration::friendly;
use wire::json::BatchError;

use super::access::Access;
use super::answer::Answer;
use super::bodies::{BodyBuffer, BodyError};
use super::head::{RequestMetadata, Route, check_headers, check_token, route, told};
use super::http_config::Limits;
use super::intake::{Intake, NotTaken, Taken};
use super::keys::Outcome;
use super::overload::Overload;
use crate::http_server::ALIVE;
use crate::http_server::{LimitReached, RequestBody};
use crate::source::slots::SMALL_BYTES;
use crate::telemetry::metrics::Metrics;

/// The Retry-After when a limit is reached.
const PAUSE: Duration = Duration::from_secs(1);
/// The Retry-After when the daemon stops: a restart rarely takes less.
const RESTART: Duration = Duration::from_secs(5);

/// The state shared by all connections of a source.
#[derive(Debug)]
pub struct RequestHandler {
    name: String,
    /// The settings in force; a reload replaces them.
    terms: RwLock<Arc<Access>>,
    stopping: watch::Sender<bool>,
    /// The number of accepted requests that wait for their answer.
    waiting: watch::Sender<usize>,
    intake: Arc<Intake>,
    metrics: Arc<Metrics>,
}

/// The client of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The bytes of all bodies being received from it.
    pub bytes: Arc<AtomicUsize>,
    /// The limit that the connection exceeds.
    pub over: Option<LimitReached>,
}

impl RequestHandler {
    /// Creates a handler that passes readings to `intake`.
    pub fn new(name: String, terms: Access, intake: Intake, metrics: Arc<Metrics>) -> Self {
        for overload in Overload::ALL {
            metrics.http_overloads(&name, overload.reason(), 0);
        }
        Self {
            name,
            terms: RwLock::new(Arc::new(terms)),
            stopping: watch::Sender::default(),
            waiting: watch::Sender::default(),
            intake: Arc::new(intake),
            metrics,
        }
    }

    /// Returns the settings in force.
    pub fn terms(&self) -> Arc<Access> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the settings, from the next request on.
    pub fn renew(&self, terms: Access) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    /// Accepts no more readings and releases the output, so that the pipeline can drain.
    pub fn stop(&self) {
        self.intake.stop();
        self.stopping.send_replace(true);
    }

    /// Returns once every accepted request has its answer.
    pub async fn answered(&self) {
        let mut waiting = self.waiting.subscribe();
        // This handler owns the sender, so the channel cannot be closed.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }

    /// True if the headers hold a token of the source.
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        let terms = self.terms();
        terms.tokens.is_some() && check_token(headers, terms.tokens.as_ref()).is_ok()
    }

    /// Answers one request: 2xx only once all its readings are safe.
    pub async fn answer(self: &Arc<Self>, request: Request<RequestBody>, peer: &Peer) -> Answer {
        let (Ok(answer) | Err(answer)) = self.admit(request, peer).await;
        let status = answer.status.as_u16();
        self.metrics.http_answered(&self.name, status);
        if status >= 400 {
            debug!(source = self.name, client = %peer.address, status, answer = answer.text(), "refused");
        }
        answer
    }

    async fn admit(self: &Arc<Self>, request: Request<RequestBody>, peer: &Peer) -> Result<Answer, Answer> {
        let terms = self.terms();
        if let Some(over) = peer.over {
            let (status, overload) = match over {
                LimitReached::All(_) => (StatusCode::SERVICE_UNAVAILABLE, Overload::Connections),
                LimitReached::Address(_) => (StatusCode::TOO_MANY_REQUESTS, Overload::ClientConnections),
            };
            self.metrics.http_overloads(&self.name, overload.reason(), 1);
            return Err(Answer::new(status, over.to_string()).retry_after(PAUSE).closing());
        }
        let (head, body) = request.into_parts();
        let told = match self.look_at(&head, body.size_hint().lower(), &terms) {
            Ok(told) => told,
            Err(answer) => return Err(pass_over(body, answer, &terms.limits).await),
        };
        let body = self.receive(body, peer, &terms.limits).await?;
        let _waiting = Waiting::new(&self.waiting);
        let deadline = Instant::now() + terms.limits.reply_timeout;
        let keyed = told.key.is_some();
        let taken = self.take(body, told, &terms.limits, deadline).await?;
        Self::settled(taken, keyed, &terms.limits, deadline).await
    }

    /// Returns what the headers say about the body, or the answer if it does not depend on the body.
    fn look_at(&self, head: &Parts, body_bytes: u64, terms: &Access) -> Result<RequestMetadata, Answer> {
        if route(head)? == Route::Health {
            return Err(self.health());
        }
        check_headers(head, &terms.limits)?;
        check_token(&head.headers, terms.tokens.as_ref())?;
        if *self.stopping.borrow() {
            return Err(stopping());
        }
        let told = told(&head.headers)?;
        if body_bytes > terms.limits.room.body as u64 {
            return Err(self.refuse_body(&BodyError::TooLarge(terms.limits.room.body, false)));
        }
        // A repeated request gets its answer even under pressure.
        let known = told.key.as_deref().is_some_and(|key| self.intake.knows(key));
        if !known && self.intake.is_blocked() {
            return Err(self.refuse(&NotTaken::Blocked));
        }
        Ok(told)
    }

    fn health(&self) -> Answer {
        match *self.stopping.borrow() {
            true => stopping(),
            false => Answer::new(StatusCode::OK, ALIVE.trim_end()),
        }
    }

    async fn receive(&self, body: RequestBody, peer: &Peer, limits: &Limits) -> Result<BodyBuffer, Answer> {
        let mut stopped = self.stopping.subscribe();
        let arriving = timeout(
            limits.body_timeout,
            self.intake.bodies.receive(body, &peer.bytes, limits.room),
        );
        tokio::select! {
            arrived = arriving => match arrived {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(error)) => Err(self.refuse_body(&error)),
                Err(_) => {
                    let text = format!(
                        "the body did not arrive within body_timeout = {}: send it faster, or less at once",
                        friendly(limits.body_timeout)
                    );
                    Err(Answer::new(StatusCode::REQUEST_TIMEOUT, text).closing())
                }
            },
            _ = stopped.wait_for(|stopping| *stopping) => Err(stopping()),
        }
    }

    /// Hands the readings of a body over by the deadline, or not at all.
    async fn take(
        &self,
        body: BodyBuffer,
        told: RequestMetadata,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<Taken, Answer> {
        let mut stopped = self.stopping.subscribe();
        tokio::select! {
            biased;
            taken = timeout_at(deadline, self.intake.take(body, told, limits)) => match taken {
                Ok(taken) => taken.map_err(|why| self.refuse(&why)),
                Err(_) => {
                    let text = format!(
                        "the daemon is too busy to process the request within reply_timeout = {}",
                        friendly(limits.reply_timeout)
                    );
                    Err(self.overloaded(Overload::Late, &text, PAUSE))
                }
            },
            _ = stopped.wait_for(|stopping| *stopping) => Err(stopping()),
        }
    }

    /// Waits until the readings are safe.
    async fn settled(taken: Taken, keyed: bool, limits: &Limits, deadline: Instant) -> Result<Answer, Answer> {
        let count = taken.readings;
        match timeout_at(deadline, taken.outcome()).await {
            Ok(Outcome::Safe) => Ok(Answer::safe(count)),
            Ok(Outcome::Ended) => {
                let text = "the daemon ended before the readings were safe: send them again";
                Err(Answer::new(StatusCode::SERVICE_UNAVAILABLE, text)
                    .retry_after(RESTART)
                    .closing())
            }
            Err(_) => {
                let again = match keyed {
                    true => "with the same Idempotency-Key to wait for them; they are not accepted twice",
                    false => "if duplicates are acceptable; an Idempotency-Key prevents them",
                };
                let text = format!(
                    "the readings are not safe after reply_timeout = {}, and may still be delivered: send the request \
                     again {again}",
                    friendly(limits.reply_timeout)
                );
                Err(Answer::new(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(PAUSE))
            }
        }
    }

    fn refuse(&self, why: &NotTaken) -> Answer {
        match why {
            NotTaken::Body(error) => self.refuse_body(error),
            NotTaken::Readings(error) => refused_readings(error),
            NotTaken::OtherBody(error) => Answer::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            NotTaken::Sensors(error) => self.overloaded(Overload::NewSensors, &error.to_string(), error.wait),
            NotTaken::Keys => self.overloaded(Overload::Keys, &why.to_string(), PAUSE),
            NotTaken::Blocked => self.overloaded(Overload::Blocked, &why.to_string(), PAUSE),
            NotTaken::Stopped => stopping(),
        }
    }

    fn refuse_body(&self, error: &BodyError) -> Answer {
        let overload = match error {
            BodyError::TooLarge(..) => {
                return Answer::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).closing();
            }
            BodyError::Broken(_) | BodyError::NotGzip(_) => {
                return Answer::new(StatusCode::BAD_REQUEST, error.to_string());
            }
            BodyError::NoRoom(_) => Overload::Bodies,
            BodyError::NoRoomForClient(_) => Overload::ClientBodies,
        };
        self.metrics.http_overloads(&self.name, overload.reason(), 1);
        let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS, error.to_string());
        answer.retry_after(PAUSE).closing()
    }

    /// Answers a request that met a temporary limit: nothing was accepted.
    fn overloaded(&self, overload: Overload, why: &str, wait: Duration) -> Answer {
        self.metrics.http_overloads(&self.name, overload.reason(), 1);
        let text = format!("{why}: nothing was accepted, send the request again later");
        Answer::new(StatusCode::TOO_MANY_REQUESTS, text).retry_after(wait)
    }
}

/// Counts a waiting request until it is answered or its client has gone.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

/// Reads and discards a small body, so that the connection can be used again; a large one closes it.
async fn pass_over(mut body: RequestBody, answer: Answer, limits: &Limits) -> Answer {
    let small = body
        .size_hint()
        .exact()
        .is_some_and(|bytes| bytes <= SMALL_BYTES as u64);
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    match small && timeout(limits.timeouts.headers, rest).await.is_ok() {
        true => answer,
        false => answer.closing(),
    }
}

fn refused_readings(error: &BatchError) -> Answer {
    let (status, text) = match error {
        BatchError::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, format!("max_readings: {error}")),
        BatchError::TooLarge { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{error}, the most a record of the stream holds"),
        ),
        _ => (StatusCode::BAD_REQUEST, error.to_string()),
    };
    Answer::new(status, text + "\nno reading of the request was accepted")
}

fn stopping() -> Answer {
    let text = "the daemon is stopping: nothing was accepted, send the readings again later";
    let answer = Answer::new(StatusCode::SERVICE_UNAVAILABLE, text);
    answer.retry_after(RESTART).closing()
}
