#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::*;

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn operators_are_answered_until_the_stop() {
    let free = Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..Settings::default()
    };
    let server = Server::bind(&free).await.unwrap();
    let address = server.address();
    let (say, known) = watch::channel(Ok(()));
    let ready = Arc::new(move || known.borrow().clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let shown = Shown {
        metrics: Arc::new(Metrics::new(Arc::default())),
        ready,
        canary: Arc::new(Canary::new(
            &mpsc::channel(1).0,
            watch::channel(false).1,
            Arc::default(),
            String::new(),
        )),
        traces: Arc::default(),
        board: watch::channel(Board::default()).1,
        status: watch::channel(Status::default()).1,
    };
    let (_showing, shown) = watch::channel(shown);
    let serving = tokio::spawn(server.serve(shown, mpsc::channel(1).0, async {
        let _ = stopped.await;
    }));

    let metrics = ask(address, "GET /metrics").await;
    assert!(
        metrics.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\ntemp_ingest_readings_produced_total 0\n"),
        "{metrics}"
    );
    assert!(ask(address, "GET /healthz").await.ends_with(ALIVE));
    let rebound = ask(address, "GET /").await;
    assert!(
        rebound.starts_with("HTTP/1.1 403 ") && rebound.contains("admin.hosts"),
        "{rebound}"
    );
    assert!(ask(address, "GET /readyz").await.starts_with("HTTP/1.1 200 "));
    say.send(Err("memory and spool are full".into())).unwrap();
    let unready = ask(address, "GET /readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
    assert!(unready.ends_with("not ready: memory and spool are full\n"), "{unready}");
    let unknown = ask(address, "GET /metric").await;
    assert!(
        unknown.starts_with("HTTP/1.1 404 ") && unknown.contains("there is no /metric\n"),
        "{unknown}"
    );
    let draining = ask(address, "POST /canary").await;
    assert!(draining.starts_with("HTTP/1.1 503 "), "{draining}");
    let wrong = ask(address, "POST /metrics").await;
    assert!(
        wrong.starts_with("HTTP/1.1 405 ") && wrong.ends_with("asked with GET\n"),
        "{wrong}"
    );

    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_named_with_the_key_to_change() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let settings = Settings {
        listen: taken.local_addr().unwrap(),
        ..Settings::default()
    };
    let error = Server::bind(&settings).await.unwrap_err().to_string();
    assert!(error.contains(&format!("binding {}", settings.listen)), "{error}");
    assert!(error.contains("set admin.listen to another port"), "{error}");
}
