//! Where requests are answered: who asks, what for, whether there is room, and what became of it.

use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::debug;
use wire::Reading;
use wire::json::{BatchError, Decoder, Layout, decode_batch};

use super::answer::Answer;
use super::bodies::{Bodies, BodyError, Held};
use super::clients::Over;
use super::head::{Asked, Told, asked, check_headers, check_token, told};
use super::keys::{Keys, Known, Outcome};
use super::plan::Limits;
use super::terms::Terms;
use crate::admin::ALIVE;
use crate::duration::friendly;
use crate::metrics::Metrics;
use crate::source::{Batch, Output, Receipt, Refused};

/// After so long it is worth trying again where there was no room.
const PAUSE: Duration = Duration::from_secs(1);
/// A daemon that stops is hardly there again before.
const RESTART: Duration = Duration::from_secs(5);
/// What is read in less than a millisecond is read where it arrived; more would hold up other clients.
const SMALL_BODY_BYTES: usize = 64 << 10;
/// Decoders know the sensors they have met; more of them than this at once are rare.
const KEPT_DECODERS: usize = 4;

/// What all connections of a source share.
#[derive(Debug)]
pub struct Desk {
    name: String,
    /// What holds now; a reload exchanges it.
    terms: RwLock<Arc<Terms>>,
    /// `None` once the source was asked to stop.
    output: RwLock<Option<Output>>,
    stopping: watch::Sender<bool>,
    /// Requests that were taken and wait for their answer.
    waiting: watch::Sender<usize>,
    bodies: Bodies,
    keys: Keys,
    decoders: Mutex<Vec<Decoder>>,
    metrics: Arc<Metrics>,
}

/// Who asks.
#[derive(Debug)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// Bytes of all bodies under way from there.
    pub bytes: Arc<AtomicUsize>,
    /// The limit that the connection is over.
    pub over: Option<Over>,
}

impl Desk {
    /// Hands readings over to `output`.
    pub fn new(name: String, terms: Terms, output: Output, metrics: Arc<Metrics>) -> Self {
        Self {
            name,
            terms: RwLock::new(Arc::new(terms)),
            output: RwLock::new(Some(output)),
            stopping: watch::Sender::default(),
            waiting: watch::Sender::default(),
            bodies: Bodies::default(),
            keys: Keys::default(),
            decoders: Mutex::default(),
            metrics,
        }
    }

    /// What holds now.
    pub fn terms(&self) -> Arc<Terms> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next request on this holds.
    pub fn renew(&self, terms: Terms) {
        *self.terms.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(terms);
    }

    /// Takes no more readings: without its output the pipeline can drain.
    pub fn stop(&self) {
        *self.output.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.stopping.send_replace(true);
    }

    /// Returns once every request that was taken has its answer.
    pub async fn answered(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender is this desk's own.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }

    /// Answers one request. 2xx only once all its readings are safe.
    pub async fn answer(self: &Arc<Self>, request: Request<Incoming>, peer: &Peer) -> Answer {
        let (Ok(answer) | Err(answer)) = self.admit(request, peer).await;
        let status = answer.status.as_u16();
        self.metrics.http_answered(&self.name, status);
        if status >= 400 {
            debug!(source = self.name, client = %peer.address, status, answer = answer.text(), "refused");
        }
        answer
    }

    async fn admit(self: &Arc<Self>, request: Request<Incoming>, peer: &Peer) -> Result<Answer, Answer> {
        let terms = self.terms();
        if let Some(over) = peer.over {
            let status = match over {
                Over::All(_) => StatusCode::SERVICE_UNAVAILABLE,
                Over::Client(_) => StatusCode::TOO_MANY_REQUESTS,
            };
            return Err(Answer::new(status, over.to_string()).retry_after(PAUSE).closing());
        }
        let (head, body) = request.into_parts();
        let told = match self.look_at(&head, body.size_hint().lower(), &terms) {
            Ok(told) => told,
            Err(answer) => return Err(pass_over(body, answer, &terms.limits).await),
        };
        let body = self.receive(body, peer, &terms.limits).await?;
        let (readings, body) = self.read(body, told.gzip, told.layout, terms.limits).await?;
        self.take(readings, body, told.key, &terms.limits).await
    }

    /// What a request says of its body; or its answer, where that does not need the body.
    fn look_at(&self, head: &Parts, body_bytes: u64, terms: &Terms) -> Result<Told, Answer> {
        if asked(head)? == Asked::Health {
            return Err(self.health());
        }
        check_headers(head, &terms.limits)?;
        check_token(&head.headers, terms.tokens.as_ref())?;
        if *self.stopping.borrow() {
            return Err(stopping());
        }
        let told = told(&head.headers)?;
        if body_bytes > terms.limits.room.body as u64 {
            return Err(refused_body(&BodyError::TooLarge(terms.limits.room.body, false)));
        }
        // A request that was taken before is answered, whatever the pressure.
        let known = told.key.as_deref().is_some_and(|key| self.keys.knows(key));
        if !known && self.is_pressed() {
            return Err(no_room());
        }
        Ok(told)
    }

    fn health(&self) -> Answer {
        match *self.stopping.borrow() {
            true => stopping(),
            false => Answer::new(StatusCode::OK, ALIVE.trim_end()),
        }
    }

    fn is_pressed(&self) -> bool {
        let output = self.output.read().unwrap_or_else(PoisonError::into_inner);
        output.as_ref().is_some_and(Output::is_pressed)
    }

    async fn receive(&self, body: Incoming, peer: &Peer, limits: &Limits) -> Result<Held, Answer> {
        let mut stopped = self.stopping.subscribe();
        let arriving = timeout(limits.body_timeout, self.bodies.receive(body, &peer.bytes, limits.room));
        tokio::select! {
            arrived = arriving => match arrived {
                Ok(Ok(body)) => Ok(body),
                Ok(Err(error)) => Err(refused_body(&error)),
                Err(_) => {
                    let text = format!(
                        "the body did not come within body_timeout = {}: send it faster, or less at once",
                        friendly(limits.body_timeout)
                    );
                    Err(Answer::new(StatusCode::REQUEST_TIMEOUT, text).closing())
                }
            },
            _ = stopped.wait_for(|stopping| *stopping) => Err(stopping()),
        }
    }

    /// The readings of a body, and the body unpacked.
    async fn read(
        self: &Arc<Self>,
        body: Held,
        gzip: bool,
        layout: Layout,
        limits: Limits,
    ) -> Result<(Vec<Reading>, Held), Answer> {
        if !gzip && body.bytes().len() <= SMALL_BODY_BYTES {
            return self.decode(body, layout, limits);
        }
        let desk = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            let body = match gzip {
                true => desk
                    .bodies
                    .unpack(body, limits.room)
                    .map_err(|error| refused_body(&error))?,
                false => body,
            };
            desk.decode(body, layout, limits)
        });
        read.await.expect("reading a body does not panic, and nobody aborts it")
    }

    fn decode(&self, body: Held, layout: Layout, limits: Limits) -> Result<(Vec<Reading>, Held), Answer> {
        let kept = || self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        let decoder = kept().pop();
        let mut decoder = decoder.unwrap_or_default();
        let readings = decode_batch(&mut decoder, body.bytes(), layout, limits.batch);
        let mut kept = kept();
        if kept.len() < KEPT_DECODERS {
            kept.push(decoder);
        }
        match readings {
            Ok(readings) => Ok((readings, body)),
            Err(error) => Err(refused_readings(&error)),
        }
    }

    /// Hands readings over, once for each key, and waits until they are safe.
    async fn take(
        &self,
        readings: Vec<Reading>,
        body: Held,
        key: Option<String>,
        limits: &Limits,
    ) -> Result<Answer, Answer> {
        let _waiting = Waiting::new(&self.waiting);
        let (count, keyed) = (readings.len(), key.is_some());
        let outcome = match key {
            None => {
                let mut settled = self.hand_over(readings)?;
                drop(body);
                timeout(limits.reply_timeout, async move { of(settled.recv().await) }).await
            }
            Some(key) => {
                let mut outcomes = match self.keys.take(&key, body.bytes(), limits.keys) {
                    Known::New(tell) => {
                        let mut settled = self.hand_over(readings).inspect_err(|_| self.keys.forget(&key))?;
                        let outcomes = tell.subscribe();
                        // Not part of this request: whoever sends it again waits for the same, even if this client has gone.
                        tokio::spawn(async move { tell.send_replace(Some(of(settled.recv().await))) });
                        outcomes
                    }
                    Known::Taken(outcomes) => outcomes,
                    Known::Other => return Err(other_body(&key)),
                    Known::Full => return Err(no_room()),
                };
                drop(body);
                timeout(limits.reply_timeout, async move {
                    let known = outcomes.wait_for(Option::is_some).await;
                    known.map_or(Outcome::Ended, |outcome| outcome.unwrap_or(Outcome::Ended))
                })
                .await
            }
        };
        match outcome {
            Ok(Outcome::Safe) => Ok(Answer::safe(count)),
            Ok(Outcome::Ended) => {
                let text = "the daemon ended before the readings were safe: send them again";
                Err(Answer::new(StatusCode::SERVICE_UNAVAILABLE, text)
                    .retry_after(RESTART)
                    .closing())
            }
            Err(_) => {
                let again = match keyed {
                    true => "with the same Idempotency-Key to wait for them; they are not taken twice",
                    false => "if they may come twice; with an Idempotency-Key they would not",
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

    /// Hands readings over at once or not at all. What comes back hears when they are safe, and ends without a word where
    /// they never will be.
    fn hand_over(&self, readings: Vec<Reading>) -> Result<mpsc::UnboundedReceiver<u64>, Answer> {
        let (settle, settled) = mpsc::unbounded_channel();
        let receipt = Receipt::new(readings.len() as u32, 0, settle);
        let output = self.output.read().unwrap_or_else(PoisonError::into_inner);
        let Some(output) = output.as_ref() else {
            return Err(stopping());
        };
        let batch = Batch {
            readings,
            receipt: Some(receipt),
        };
        match output.offer(batch) {
            Ok(()) => Ok(settled),
            Err(Refused::Pressed) => Err(no_room()),
            Err(Refused::Closed) => Err(stopping()),
        }
    }
}

fn of(settled: Option<u64>) -> Outcome {
    match settled {
        Some(_) => Outcome::Safe,
        None => Outcome::Ended,
    }
}

/// Counts a request that waits, until it is answered or its client has gone.
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

/// Reads a small body and throws it away, so that the connection can go on; a large one ends it.
async fn pass_over(mut body: Incoming, answer: Answer, limits: &Limits) -> Answer {
    let small = body
        .size_hint()
        .exact()
        .is_some_and(|bytes| bytes <= SMALL_BODY_BYTES as u64);
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    match small && timeout(limits.patience.headers, rest).await.is_ok() {
        true => answer,
        false => answer.closing(),
    }
}

fn refused_body(error: &BodyError) -> Answer {
    match error {
        BodyError::TooLarge(..) => Answer::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).closing(),
        BodyError::NoRoom(_) | BodyError::NoRoomForClient(_) => {
            let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS, error.to_string());
            answer.retry_after(PAUSE).closing()
        }
        BodyError::Broken(_) | BodyError::NotGzip(_) => Answer::new(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn refused_readings(error: &BatchError) -> Answer {
    let (status, text) = match error {
        BatchError::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, format!("max_readings: {error}")),
        BatchError::TooLarge { .. } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{error}, which is what a record of the stream holds"),
        ),
        _ => (StatusCode::BAD_REQUEST, error.to_string()),
    };
    Answer::new(status, text + "\nno reading of the request was taken")
}

fn other_body(key: &str) -> Answer {
    let text = format!("Idempotency-Key {key:?} came before with another body: use a new key for other readings");
    Answer::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn no_room() -> Answer {
    let text = "there is no room for more readings now: nothing was taken, send them again later";
    Answer::new(StatusCode::TOO_MANY_REQUESTS, text).retry_after(PAUSE)
}

fn stopping() -> Answer {
    let text = "the daemon stops and takes no more readings: nothing was taken, send them again later";
    let answer = Answer::new(StatusCode::SERVICE_UNAVAILABLE, text);
    answer.retry_after(RESTART).closing()
}
