//! One connection: HTTP/1.1 over a stream with timeouts. It knows nothing about the requests' meaning.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, timeout};

use super::activity::{Activity, Phase};
use super::body::RequestBody;

/// After the last answer, what the client still sends is read and discarded for at most this long: closing a socket
/// with unread bytes would discard the answer.
const LINGER: Duration = Duration::from_secs(1);
/// The most bytes discarded after the last answer.
const LINGER_BYTES: u64 = 1 << 20;
/// The smallest buffer that hyper allows.
const LEAST_BUFFER: usize = 8192;

/// How long a client may keep a connection waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request, or from connecting, to the end of its headers.
    pub headers: Duration,
    /// Between an answer and the next request.
    pub idle: Duration,
}

/// The protocol settings of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// How long a client may take for each part of a request.
    pub timeouts: Timeouts,
    /// The most bytes of request headers.
    pub max_headers: usize,
}

/// Serves requests from `stream` until it ends or `closing` becomes true.
pub async fn serve<S, F, B>(
    stream: S,
    activity: Arc<Activity>,
    protocol: Protocol,
    mut closing: watch::Receiver<bool>,
    answer: impl Fn(Request<RequestBody>) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let answering = activity.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let activity = answering.clone();
        activity.enter(Phase::Answering);
        let answer = answer(request.map(|body| RequestBody::new(body, activity.clone())));
        Box::pin(async move {
            let answer = answer.await;
            activity.enter(Phase::Idle);
            Ok::<_, Infallible>(answer)
        })
    });
    let stream = TokioIo::new(Timed::new(stream, activity, protocol.timeouts));
    // Headers slightly too long get an explanation; headers far too long get a bare 431.
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Never reached, but without it an idle connection is not read, and its silence goes unnoticed.
        .header_read_timeout(protocol.timeouts.idle + protocol.timeouts.headers)
        .max_buf_size((2 * protocol.max_headers).max(LEAST_BUFFER))
        .serve_connection(stream, service);
    tokio::select! {
        _ = poll_fn(|context| connection.poll_without_shutdown(context)) => {}
        () = async { drop(closing.wait_for(|closing| *closing).await) } => {
            Pin::new(&mut connection).graceful_shutdown();
            // A broken request is the client's to send again.
            let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        }
    }
    let _ = timeout(LINGER, connection.into_parts().io.into_inner().close()).await;
}

/// A stream that ends when its client is silent or reads nothing for too long.
struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    timeouts: Timeouts,
    reading: Pin<Box<Sleep>>,
    writing: Pin<Box<Sleep>>,
    /// When writing became blocked.
    stuck: Option<Instant>,
    /// The headers did not arrive in time.
    late: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Timed<S> {
    fn new(stream: S, activity: Arc<Activity>, timeouts: Timeouts) -> Self {
        let now = Instant::now();
        Self {
            stream,
            activity,
            timeouts,
            reading: Box::pin(tokio::time::sleep_until(now)),
            writing: Box::pin(tokio::time::sleep_until(now)),
            stuck: None,
            late: false,
        }
    }

    /// Shuts the stream down and gives the client time to read the answer.
    async fn close(mut self) -> io::Result<()> {
        if self.late {
            let text = format!(
                "the headers did not arrive within header_timeout = {}: send them at once",
                values::duration::friendly(self.timeouts.headers)
            );
            self.stream.write_all(&late(&text)).await?;
        }
        self.stream.shutdown().await?;
        let mut rest = (&mut self.stream).take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(drop)
    }

    /// Ready once pending output has not moved for too long.
    fn poll_stuck(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.stuck.get_or_insert_with(Instant::now);
        poll_until(&mut self.writing, since + self.timeouts.headers, context)
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
        this.activity.read();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let (phase, since) = this.activity.phase();
        if read.is_ready() {
            if phase == Phase::Idle && buffer.filled().len() > before {
                this.activity.enter(Phase::Headers);
            }
            return read;
        }
        let limit = match phase {
            // The service limits how long a body may take.
            Phase::Body | Phase::Answering => return Poll::Pending,
            Phase::Headers => this.timeouts.headers,
            Phase::Idle => this.timeouts.idle,
        };
        ready!(poll_until(&mut this.reading, since + limit, context));
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

/// The bytes of a 408 for a connection without a request to answer.
fn late(text: &str) -> Vec<u8> {
    let length = text.len() + 1;
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{text}\n"
    )
    .into_bytes()
}
