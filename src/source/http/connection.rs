//! One connection: HTTP/1.1 over a stream whose silence is bounded. It decides nothing of what is asked.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, timeout};

use super::answer::Answer;
use super::desk::{Desk, Peer};

/// Until a client has read its last answer, what it still sends is read and thrown away, but not for longer: a closed
/// socket with unread bytes would take the answer back.
const LINGER: Duration = Duration::from_secs(1);
/// And not more of it.
const LINGER_BYTES: u64 = 1 << 20;
/// The least that is allowed to be buffered.
const LEAST_BUFFER: usize = 8192;

/// How long a client may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the first byte of a request to the end of its headers, or from connecting to there.
    pub headers: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
}

/// Answers what comes over `stream` until it ends, or `ending` says so.
pub async fn serve<S>(stream: S, desk: Arc<Desk>, peer: Peer, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = desk.terms().limits;
    let pulse = Arc::new(Pulse::new());
    let peer = Arc::new(peer);
    let answering = pulse.clone();
    let service = service_fn(move |request| {
        let (desk, peer, pulse) = (desk.clone(), peer.clone(), answering.clone());
        Box::pin(async move {
            pulse.set(Phase::Busy);
            let answer = desk.answer(request, &peer).await;
            pulse.set(Phase::Idle);
            Ok::<_, std::convert::Infallible>(answer.into_response())
        })
    });
    let stream = TokioIo::new(Timed::new(stream, pulse, limits.patience));
    // What is a little too long is told by name; what is far too long gets a bare 431.
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Never reached, but without it a connection that falls idle is not read from, and its silence not seen.
        .header_read_timeout(limits.patience.idle + limits.patience.headers)
        .max_buf_size((2 * limits.headers).max(LEAST_BUFFER))
        .serve_connection(stream, service);
    tokio::select! {
        _ = poll_fn(|context| connection.poll_without_shutdown(context)) => {}
        () = async { drop(ending.wait_for(|ending| *ending).await) } => {
            Pin::new(&mut connection).graceful_shutdown();
            // A request that broke is the client's to send again.
            let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        }
    }
    let _ = timeout(LINGER, connection.into_parts().io.into_inner().close()).await;
}

/// What a connection is doing, and since when.
#[derive(Debug)]
struct Pulse(Mutex<(Phase, Instant)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between an answer and the next request.
    Idle,
    /// Headers are awaited.
    Headers,
    /// A request is being answered.
    Busy,
}

impl Pulse {
    fn new() -> Self {
        Self(Mutex::new((Phase::Headers, Instant::now())))
    }

    fn get(&self) -> (Phase, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now());
    }
}

/// A stream that ends where its client is silent for too long, or reads nothing.
struct Timed<S> {
    stream: S,
    pulse: Arc<Pulse>,
    patience: Patience,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
    /// Since when nothing could be written.
    stuck: Option<Instant>,
    /// The headers did not come in time.
    late: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    fn new(stream: S, pulse: Arc<Pulse>, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            stream,
            pulse,
            patience,
            reading: Box::pin(tokio::time::sleep_until(now)),
            writing: Box::pin(tokio::time::sleep_until(now)),
            stuck: None,
            late: false,
        }
    }

    /// Says goodbye, and lets the client read it.
    async fn close(mut self) -> io::Result<()> {
        if self.late {
            let text = format!(
                "the headers did not come within header_timeout = {}: send them at once",
                crate::duration::friendly(self.patience.headers)
            );
            self.stream.write_all(&Answer::late(&text)).await?;
        }
        self.stream.shutdown().await?;
        let mut rest = (&mut self.stream).take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(drop)
    }

    /// Ready once what is written has not moved for too long.
    fn poll_stuck(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.stuck.get_or_insert_with(Instant::now);
        poll_until(&mut self.writing, since + self.patience.headers, context)
    }
}

fn poll_until(sleep: &mut Pin<Box<Sleep>>, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
    if sleep.deadline() != deadline {
        sleep.as_mut().reset(deadline);
    }
    sleep.as_mut().poll(context)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Timed<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let (phase, since) = this.pulse.get();
        if read.is_ready() {
            if phase == Phase::Idle && buffer.filled().len() > before {
                this.pulse.set(Phase::Headers);
            }
            return read;
        }
        let patience = match phase {
            Phase::Busy => return Poll::Pending,
            Phase::Headers => this.patience.headers,
            Phase::Idle => this.patience.idle,
        };
        ready!(poll_until(&mut this.reading, since + patience, context));
        this.late = phase == Phase::Headers;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        if written.is_ready() {
            this.stuck = None;
            return written;
        }
        ready!(this.poll_stuck(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        if flushed.is_ready() {
            this.stuck = None;
            return flushed;
        }
        ready!(this.poll_stuck(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
