//! From a request to its answer, with the fault on the way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::{Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::command::Command;
use crate::fault::Fault;
use crate::metadata;
use crate::operation::Operation;
use crate::put::Put;
use crate::refusal::Refusal;
use crate::state::Shared;
use crate::{description, identity, read, reshard};

/// 10 MiB of records, in base64, with room for 500 keys and the JSON around them.
const MAX_BODY_BYTES: usize = 15 * 1024 * 1024;
const JSON: &str = "application/x-amz-json-1.1";

/// The connection shall be reset instead of answered.
#[derive(Debug, thiserror::Error)]
#[error("reset on demand")]
pub(crate) struct Reset;

/// The answer ends before its length.
#[derive(Debug, thiserror::Error)]
#[error("cut off on demand")]
pub(crate) struct Cut;

/// The body of an answer, whole or cut.
pub(crate) struct Answer {
    length: u64,
    bytes: Option<Bytes>,
    cut: CutAt,
}

#[derive(PartialEq)]
enum CutAt {
    Nowhere,
    AfterFlush,
    Now,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Commands {
    One(Command),
    Several(Vec<Command>),
}

/// Answers a request, or has its connection reset.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    slow: Duration,
    request: Request<Incoming>,
) -> Result<Response<Answer>, Reset> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(refuse(&Refusal::too_large(MAX_BODY_BYTES))),
    };
    if head.uri.path().starts_with("/_control") {
        return Ok(control(&shared, &head.method, head.uri.path(), &body));
    }
    if head.uri.path().starts_with(metadata::PATH) {
        let (status, body) = metadata::answer(&mut shared.lock(), &head.method, head.uri.path(), &head.headers);
        shared.changed.send_replace(());
        let mut answer = respond(status, "text/plain", body.into_bytes());
        let seconds = header::HeaderValue::from_static("21600");
        answer
            .headers_mut()
            .insert("x-aws-ec2-metadata-token-ttl-seconds", seconds);
        return Ok(answer);
    }
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let operation = match operation_of(text("x-amz-target"), &body) {
        Ok(operation) => operation,
        Err(refusal) => return Ok(refuse(&refusal)),
    };
    let access_key = text("authorization").and_then(access_key);
    let admitted = shared.lock().admit(operation, access_key, &body);
    let answered = match admitted {
        Ok(fault) => serve(&shared, slow, operation, access_key.unwrap_or_default(), &body, fault).await,
        Err(refusal) => Ok(if operation.is_of_sts() {
            refuse_xml(&refusal)
        } else {
            refuse(&refusal)
        }),
    };
    shared.changed.send_replace(());
    answered
}

/// Carries out the operation, with what goes wrong before it and after it.
async fn serve(
    shared: &Arc<Shared>,
    slow: Duration,
    operation: Operation,
    access_key: &str,
    body: &[u8],
    fault: Option<Fault>,
) -> Result<Response<Answer>, Reset> {
    match fault {
        Some(Fault::ResetBefore) => return Err(Reset),
        Some(Fault::TimeoutBefore) => return Ok(never(shared).await),
        _ => {}
    }
    let mut answer = match execute(shared, operation, access_key, body, fault == Some(Fault::Partial)).await {
        Ok(answer) => answer,
        Err(refusal) => return Ok(refuse(&refusal)),
    };
    shared.changed.send_replace(());
    match fault {
        Some(Fault::ResetAfter) => return Err(Reset),
        Some(Fault::TimeoutAfter) => return Ok(never(shared).await),
        Some(Fault::Slow) => tokio::time::sleep(slow).await,
        Some(Fault::Truncated) => answer.body_mut().cut(),
        _ => {}
    }
    Ok(answer)
}

async fn execute(
    shared: &Arc<Shared>,
    operation: Operation,
    access_key: &str,
    body: &[u8],
    partial: bool,
) -> Result<Response<Answer>, Refusal> {
    let value = match operation {
        Operation::PutRecords | Operation::PutRecord => {
            let put = Put::parse(operation, body)?;
            released(shared, &put).await;
            let bytes = put.commit(operation, &mut shared.lock(), partial)?;
            return Ok(respond(StatusCode::OK, JSON, bytes));
        }
        Operation::GetCallerIdentity => {
            let answer = identity::caller(&shared.lock(), access_key);
            return Ok(respond(StatusCode::OK, "text/xml", answer.into_bytes()));
        }
        Operation::AssumeRole => {
            let answer = identity::assume(&mut shared.lock(), access_key, body)?;
            return Ok(respond(StatusCode::OK, "text/xml", answer.into_bytes()));
        }
        Operation::DescribeStreamSummary => description::summary(&shared.lock().stream, body)?,
        Operation::ListShards => description::shards(&shared.lock().stream, body)?,
        Operation::SplitShard | Operation::MergeShards | Operation::UpdateShardCount => {
            reshard::reshard(&mut shared.lock(), operation, body)?
        }
        Operation::DescribeLimits => description::limits(&shared.lock().stream),
        Operation::GetShardIterator => read::iterator(&shared.lock().stream, body)?,
        Operation::GetRecords => read::records(&shared.lock().stream, body)?,
    };
    Ok(respond(StatusCode::OK, JSON, to_vec(&value)))
}

/// Waits while a record of the request has a partition key that hangs.
async fn released(shared: &Arc<Shared>, put: &Put) {
    let hangs = |shared: &Shared| {
        let state = shared.lock();
        !state.hung.is_empty() && put.has_key(|key| state.hung.contains(key))
    };
    if !hangs(shared) {
        return;
    }
    let mut changes = shared.changed.subscribe();
    let _hanging = shared.hanging();
    while hangs(shared) {
        // The sender lives in `shared`, as long as this.
        let _ = changes.changed().await;
    }
}

/// Hangs until the client goes away, which drops this future, or the endpoint stops.
async fn never(shared: &Arc<Shared>) -> Response<Answer> {
    let _hanging = shared.hanging();
    std::future::pending().await
}

fn operation_of(target: Option<&str>, body: &[u8]) -> Result<Operation, Refusal> {
    match target {
        Some(target) => target
            .strip_prefix("Kinesis_20131202.")
            .and_then(Operation::named)
            .filter(|operation| !operation.is_of_sts())
            .ok_or_else(|| Refusal::unknown_operation(target)),
        // STS speaks the query protocol.
        None => body
            .split(|byte| *byte == b'&')
            .filter_map(|pair| std::str::from_utf8(pair.strip_prefix(b"Action=")?).ok())
            .find_map(Operation::named)
            .filter(|operation| operation.is_of_sts())
            .ok_or_else(|| Refusal::unknown_operation("")),
    }
}

/// The access key's id in a SigV4 header: `AWS4-HMAC-SHA256 Credential=ID/date/region/service/aws4_request, ...`.
fn access_key(authorization: &str) -> Option<&str> {
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split('/').next().filter(|id| !id.is_empty())
}

fn control(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Response<Answer> {
    match (method, path) {
        (&Method::GET, "/_control/counters") => {
            let counters = shared.lock().ledger.counters.clone();
            respond(StatusCode::OK, "application/json", to_vec(&json!(counters)))
        }
        (&Method::POST, "/_control") => {
            let commands = match serde_json::from_slice(body) {
                Ok(Commands::One(command)) => vec![command],
                Ok(Commands::Several(commands)) => commands,
                Err(error) => return wrong(&format!("the body is neither a command nor a list of them: {error}")),
            };
            match commands.into_iter().try_for_each(|command| shared.apply(command)) {
                Ok(()) => respond(StatusCode::OK, "application/json", b"{}".to_vec()),
                Err(error) => wrong(&error.to_string()),
            }
        }
        _ => wrong("there are only GET /_control/counters and POST /_control"),
    }
}

fn wrong(message: &str) -> Response<Answer> {
    respond(
        StatusCode::BAD_REQUEST,
        "application/json",
        to_vec(&json!({ "error": message })),
    )
}

fn refuse(refusal: &Refusal) -> Response<Answer> {
    let body = json!({ "__type": refusal.code, "message": refusal.message });
    respond(status(refusal), JSON, to_vec(&body))
}

/// STS tells errors in XML, and calls some of them by a shorter name than Kinesis does.
fn refuse_xml(refusal: &Refusal) -> Response<Answer> {
    let code = match refusal.code {
        "ExpiredTokenException" => "ExpiredToken",
        "AccessDeniedException" => "AccessDenied",
        code => code,
    };
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{}</Message></Error></ErrorResponse>",
        refusal.message
    );
    respond(status(refusal), "text/xml", body.into_bytes())
}

fn status(refusal: &Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status).expect("refusals carry valid statuses")
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Answer> {
    let answer = Answer {
        length: body.len() as u64,
        bytes: Some(body.into()),
        cut: CutAt::Nowhere,
    };
    let mut response = Response::new(answer);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

fn to_vec(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("a JSON value always serializes")
}

impl Answer {
    /// Keeps the first half; the length told stays the whole one's.
    fn cut(&mut self) {
        if let Some(bytes) = &mut self.bytes {
            bytes.truncate(bytes.len() / 2);
        }
        self.cut = CutAt::AfterFlush;
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.cut {
            CutAt::Nowhere => Poll::Ready(None),
            // Hyper flushes when a body is pending; an error at once would throw away what it has buffered.
            CutAt::AfterFlush => {
                self.cut = CutAt::Now;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            CutAt::Now => Poll::Ready(Some(Err(Cut))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.cut == CutAt::Nowhere
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
