#![allow(clippy::unwrap_used, reason = "a test may panic")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};

use super::*;
use crate::source::handover;

async fn ask(address: SocketAddr, request: &str) -> String {
    send(address, request, "Host: test", "").await
}

async fn send(address: SocketAddr, request: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request =
        format!("{request} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn shown(ready: Arc<dyn Fn() -> Result<String, String> + Send + Sync>) -> Handles {
    Handles {
        metrics: Arc::new(Metrics::new(Arc::default())),
        ready,
        canary: Arc::new(Canary::new(&handover::channel(1).0, Arc::default(), String::new())),
        recent: Arc::default(),
        status: watch::channel(Status::default()).1,
        health: watch::channel(Health::default()).1,
    }
}

#[tokio::test]
async fn operators_are_answered_until_the_stop() {
    let free = Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        ..Settings::default()
    };
    let server = Server::bind(&free).await.unwrap();
    let address = server.address();
    let (say, known) = watch::channel(Ok("readings are accepted".to_owned()));
    let (stop, stopped) = oneshot::channel::<()>();
    let (_showing, shown) = watch::channel(shown(Arc::new(move || known.borrow().clone())));
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
        rebound.starts_with("HTTP/1.1 403 ") && rebound.contains("dashboard.hosts"),
        "{rebound}"
    );
    let ready = ask(address, "GET /readyz").await;
    assert!(
        ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("ready: readings are accepted\n"),
        "{ready}"
    );
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
    serving.await.unwrap();
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
    assert!(error.contains("set dashboard.listen to another port"), "{error}");
}

/// As if it were bound to an address that others can reach.
async fn beyond_this_machine(token_file: Option<PathBuf>) -> (SocketAddr, watch::Sender<Handles>) {
    serve_beyond_this_machine(Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        token_file,
        ..Settings::default()
    })
    .await
}

async fn serve_beyond_this_machine(settings: Settings) -> (SocketAddr, watch::Sender<Handles>) {
    let mut server = Server::bind(&settings).await.unwrap();
    let address = server.address();
    server.address.set_ip([192, 0, 2, 1].into());
    let (showing, shown) = watch::channel(shown(Arc::new(|| Ok(String::new()))));
    tokio::spawn(server.serve(shown, mpsc::channel(1).0, std::future::pending()));
    (address, showing)
}

const HOST: &str = "Host: 192.0.2.1";

#[tokio::test]
async fn beyond_this_machine_nobody_looks_without_a_token() {
    let (address, _showing) = beyond_this_machine(None).await;
    for path in ["/", "/readings?sensor=a"] {
        let closed = send(address, &format!("GET {path}"), HOST, "").await;
        assert!(
            closed.starts_with("HTTP/1.1 403 ") && closed.contains("This page is closed"),
            "{closed}"
        );
    }
    assert!(ask(address, "GET /metrics").await.starts_with("HTTP/1.1 200 "));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "the-token\n").unwrap();
    let (address, _showing) = beyond_this_machine(Some(file)).await;
    let sent_away = send(address, "GET /", HOST, "").await;
    assert!(
        sent_away.starts_with("HTTP/1.1 303 ") && sent_away.contains("location: /log-in\r\n"),
        "{sent_away}"
    );
    let bearer = format!("{HOST}\r\nAuthorization: Bearer the-token");
    assert!(send(address, "GET /", &bearer, "").await.starts_with("HTTP/1.1 200 "));
    let wrong = send(address, "POST /log-in", HOST, "token=the-toke").await;
    assert!(
        wrong.starts_with("HTTP/1.1 403 ") && !wrong.contains("set-cookie"),
        "{wrong}"
    );
    let right = send(address, "POST /log-in", HOST, "token=the-token").await;
    let cookie = right.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let session = format!("{HOST}\r\nCookie: {cookie}");
    let page = send(address, "GET /", &session, "").await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; ",
        "x-content-type-options: nosniff\r\n",
        "cache-control: no-store\r\n",
    ] {
        assert!(page.contains(header), "{header} in {page}");
    }
    let by_form = send(address, "POST /source", &session, "name=house&do=stop").await;
    assert!(
        by_form.starts_with("HTTP/1.1 403 "),
        "without the session's own word: {by_form}"
    );
}

#[tokio::test]
async fn who_guesses_is_stopped_and_who_is_logged_in_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "the-token\n").unwrap();
    let (address, _showing) = beyond_this_machine(Some(file)).await;
    let bearer = |token: &str| format!("{HOST}\r\nAuthorization: Bearer {token}");
    let right = send(address, "POST /log-in", HOST, "token=the-token").await;
    let cookie = right.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let session = format!("{HOST}\r\nCookie: {cookie}");

    // Each of the ways a token is shown counts.
    for (request, headers, body) in [
        ("GET /", bearer("wrong"), ""),
        ("GET /readings?sensor=a", bearer("wrong"), ""),
        ("POST /source", bearer("wrong"), "name=house&do=stop"),
        ("POST /stream", bearer("wrong"), "stream=other"),
        ("POST /incident", bearer("wrong"), "id=a&do=acknowledge"),
        ("POST /template", bearer("wrong"), "name=house&text=a"),
        ("POST /log-out", bearer("wrong"), ""),
        ("POST /log-in", HOST.to_owned(), "token=wrong"),
        ("POST /log-in", HOST.to_owned(), "token="),
        ("POST /log-in", HOST.to_owned(), "token=the-toke"),
    ] {
        // What a proxy or a session says is no token, and does not count.
        let basic = format!("{HOST}\r\nAuthorization: Basic dTpw");
        let other = send(address, "POST /source", &basic, "name=house&do=stop").await;
        assert!(other.ends_with("Authorization: Bearer TOKEN\n"), "{other}");
        let with_session = format!("{session}\r\nAuthorization: Bearer of-a-proxy");
        assert!(
            send(address, "GET /", &with_session, "")
                .await
                .starts_with("HTTP/1.1 200 ")
        );
        let wrong = send(address, request, &headers, body).await;
        assert!(
            wrong.starts_with("HTTP/1.1 403 ") && wrong.contains("wrong token"),
            "{request}: {wrong}"
        );
    }
    for (request, headers, body) in [
        ("GET /", bearer("the-token"), ""),
        ("POST /source", bearer("the-token"), "name=house&do=stop"),
        ("POST /log-in", HOST.to_owned(), "token=the-token"),
    ] {
        let closed = send(address, request, &headers, body).await;
        assert!(
            closed.starts_with("HTTP/1.1 429 ") && closed.contains("retry-after: ") && closed.contains("try again in "),
            "{request}: {closed}"
        );
    }
    assert!(send(address, "GET /", &session, "").await.starts_with("HTTP/1.1 200 "));
    let metrics = ask(address, "GET /metrics").await;
    for counted in ["{reason=\"wrong\"} 10\n", "{reason=\"limit\"} 3\n"] {
        assert!(
            metrics.contains(&format!("temp_ingest_page_tokens_refused_total{counted}")),
            "{metrics}"
        );
    }
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    tokio::time::resume();
    assert!(
        send(address, "GET /", &bearer("the-token"), "")
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn another_sites_page_sends_no_canary() {
    let (address, _showing) = beyond_this_machine(None).await;
    let foreign = send(
        address,
        "POST /canary",
        "Host: 192.0.2.1\r\nOrigin: http://evil.example",
        "",
    )
    .await;
    assert!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    let own = send(address, "POST /canary", "Host: any", "").await;
    assert!(
        own.starts_with("HTTP/1.1 503 "),
        "as `temp-ingest canary` asks, of a daemon that drains: {own}"
    );
}

/// A request whose body never comes, and the answer to it.
async fn without_body(address: SocketAddr, request: &str, headers: &str, length: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\n{headers}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn who_is_not_admitted_is_answered_before_a_body_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "the-token\n").unwrap();
    let (address, _showing) = beyond_this_machine(Some(file)).await;
    for path in ["/source", "/stream", "/incident", "/template", "/log-out"] {
        let request = format!("POST {path}");
        let unknown = without_body(address, &request, HOST, 200_000).await;
        assert!(
            unknown.contains("403 ") && unknown.contains("log in first"),
            "{path}: {unknown}"
        );
        let wrong = format!("{HOST}\r\nAuthorization: Bearer wrong");
        let wrong = without_body(address, &request, &wrong, 200_000).await;
        assert!(
            wrong.contains("403 ") && wrong.contains("wrong token"),
            "{path}: {wrong}"
        );
        let foreign = format!("{HOST}\r\nOrigin: http://evil.example\r\nAuthorization: Bearer the-token");
        let foreign = without_body(address, &request, &foreign, 200_000).await;
        assert!(
            foreign.contains("403 ") && foreign.contains("another site"),
            "{path}: {foreign}"
        );
    }
    let rebound = without_body(address, "POST /log-in", "Host: evil.example", 20).await;
    assert!(
        rebound.contains("403 ") && rebound.contains("dashboard.hosts"),
        "{rebound}"
    );
}

#[tokio::test]
async fn forms_are_small_and_arrive_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "the-token\n").unwrap();
    let (address, _showing) = serve_beyond_this_machine(Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        token_file: Some(file),
        body_timeout: Within::from_millis(100),
        ..Settings::default()
    })
    .await;
    let large = without_body(address, "POST /log-in", HOST, 4097).await;
    assert!(
        large.contains("413 ") && large.contains("more than 4096 bytes"),
        "{large}"
    );
    let late = without_body(address, "POST /log-in", HOST, 4096).await;
    assert!(
        late.contains("408 ") && late.contains("dashboard.body_timeout = 100ms"),
        "{late}"
    );
    let bearer = format!("{HOST}\r\nAuthorization: Bearer the-token");
    let large = without_body(address, "POST /template", &bearer, 262_145).await;
    assert!(large.contains("413 "), "{large}");
    let late = without_body(address, "POST /template", &bearer, 262_144).await;
    assert!(late.contains("408 "), "{late}");
    // A body whose length is not declared is counted as it arrives.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /log-in HTTP/1.1\r\n{HOST}\r\nTransfer-Encoding: chunked\r\n\r\n1001\r\n");
    let chunk = [head.as_bytes(), &[b'a'; 0x1001], b"\r\n"].concat();
    stream.write_all(&chunk).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let metrics = ask(address, "GET /metrics").await;
    for counted in ["{reason=\"too_large\"} 3\n", "{reason=\"timeout\"} 2\n"] {
        assert!(
            metrics.contains(&format!("temp_ingest_page_forms_refused_total{counted}")),
            "{metrics}"
        );
    }
}

#[tokio::test]
async fn silent_connections_make_room_and_sessions_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tokens");
    std::fs::write(&file, "the-token\n").unwrap();
    let (address, _showing) = serve_beyond_this_machine(Settings {
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        token_file: Some(file),
        max_connections: NonZeroU32::new(2).unwrap(),
        ..Settings::default()
    })
    .await;
    let right = send(address, "POST /log-in", HOST, "token=the-token").await;
    let cookie = right.split("set-cookie: ").nth(1).unwrap().split(';').next().unwrap();
    let mut session = TcpStream::connect(address).await.unwrap();
    let page = format!("GET /log-in HTTP/1.1\r\n{HOST}\r\nCookie: {cookie}\r\n\r\n");
    session.write_all(page.as_bytes()).await.unwrap();
    session.read_exact(&mut [0; 12]).await.unwrap();
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"GET / HTTP/1.1\r\nhost: loc").await.unwrap();
    assert!(ask(address, "GET /healthz").await.ends_with(ALIVE));
    assert!(
        matches!(silent.read(&mut [0]).await, Ok(0) | Err(_)),
        "the silent one was closed"
    );
    // That of the session is still there, and is served.
    session.write_all(page.as_bytes()).await.unwrap();
    let mut served = String::new();
    while served.matches("HTTP/1.1 200 ").count() < 1 {
        let mut bytes = [0; 4096];
        let count = session.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{served}");
        served += &String::from_utf8_lossy(&bytes[..count]);
    }
}
