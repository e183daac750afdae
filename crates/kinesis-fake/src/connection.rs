//! One connection: HTTP/1.1 until it ends, by itself or by a reset.

use std::error::Error;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::service::{self, Reset};
use crate::state::Shared;

/// Serves the requests of a connection until either side ends it.
pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>, slow: Duration) {
    // An answer is written at once; waiting for more to send would only delay it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| Box::pin(service::answer(Arc::clone(&shared), slow, request)));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = poll_fn(|context| connection.poll_without_shutdown(context)).await;
    let stream = connection.into_parts().io.into_inner();
    if ended.is_err_and(|error| error.source().is_some_and(|source| source.is::<Reset>())) {
        // Closing a socket that does not linger sends RST in place of FIN.
        let _ = stream.set_zero_linger();
    }
}
