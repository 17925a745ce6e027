//! Overload and slow clients: refused with 503 or 408, after which the server works as before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use auditstream_engine::database::{Database, DatabaseUrl, Limits};
use auditstream_engine::{Actor, access};
use auditstream_model::{AccountName, Scope};
use auditstream_server::cli::serve;
use auditstream_server::http::connections::{self, Limits as ConnectionLimits};
use reqwest::Response;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{App, event, refused, token};

/// `count` events of about a megabyte each.
fn large(name: &str, count: usize) -> String {
    let one = |number| {
        let mut event = event(&format!("{name}-{number}"));
        event["padding"] = "x".repeat(1_000_000).into();
        event
    };
    Value::Array((0..count).map(one).collect()).to_string()
}

async fn send(app: &App, address: &str, body: String) -> Response {
    send_as(&app.ingest, address, body).await
}

async fn send_as(token: &str, address: &str, body: String) -> Response {
    let client = reqwest::Client::new();
    let request = client.post(format!("{address}/v1/audit-events")).bearer_auth(token);
    let request = request.header("content-type", "application/json").body(body);
    request.send().await.unwrap()
}

fn retry_after(answer: &Response) -> u64 {
    answer.headers()["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Rule 11.
#[tokio::test(flavor = "multi_thread")]
async fn one_account_cannot_occupy_ingest() {
    let app = App::start().await;
    let other = AccountName::parse("other").unwrap();
    access::create_account(&app.engine, &other).await.unwrap();
    let theirs = Actor::command_line(&app.engine, &other).await.unwrap();
    let theirs = token(&app.engine, &theirs, "theirs", &[Scope::Ingest]).await;
    let database = DatabaseUrl::Sqlite(app.folder.path().join("auditstream.db"));
    let foreign = Database::open(&database, &Limits::default()).await.unwrap();
    let lock = foreign.write().await.unwrap();
    let mut sent: Vec<_> = (0..10)
        .map(|number| Box::pin(send(&app, &app.address, large(&format!("occupy-{number}"), 15))))
        .collect();
    // Until the account has nothing more in flight than its half has room for.
    while sent.len() > 4 {
        let (answer, _, rest) = futures::future::select_all(sent).await;
        assert_eq!(retry_after(&answer), 5);
        let problem = refused(answer, 503, "unavailable").await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("from you") || detail.contains("of this account"),
            "{detail}"
        );
        sent = rest;
    }
    let mut event = event("theirs");
    event["auditResourceScope"]["accountIdentifier"] = "other".into();
    let other = send_as(&theirs, &app.address, event.to_string());
    let unlock = async {
        // The lock is released only once the other account's event waits as well.
        let waiting = async || app.get("/metrics").send().await.unwrap().text().await.unwrap();
        let bytes = |text: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("auditstream_ingest_queue_bytes "));
            line.unwrap_or_else(|| panic!("{text}")).parse::<f64>().unwrap()
        };
        let before = bytes(&waiting().await);
        while bytes(&waiting().await) <= before {
            tokio::task::yield_now().await;
        }
        drop(lock);
    };
    let (accepted, ()) = tokio::join!(other, unlock);
    assert_eq!(accepted.status(), 200, "{}", accepted.text().await.unwrap());
    for answer in futures::future::join_all(sent).await {
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    foreign.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_events_with_503_until_it_has_been_written() {
    let app = App::start().await;
    let database = DatabaseUrl::Sqlite(app.folder.path().join("auditstream.db"));
    let foreign = Database::open(&database, &Limits::default()).await.unwrap();
    let lock = foreign.write().await.unwrap();
    // The account's half of the memory has room for four requests of 15 MB.
    let sent = (0..6).map(|number| send(&app, &app.address, large(&format!("queued-{number}"), 15)));
    let mut sent: Vec<_> = sent.map(Box::pin).collect();
    let mut refusals = 0;
    while sent.len() > 4 {
        let (answer, _, rest) = futures::future::select_all(sent).await;
        assert_eq!(retry_after(&answer), 5);
        refused(answer, 503, "unavailable").await;
        refusals += 1;
        sent = rest;
    }
    assert_eq!(refusals, 2);
    drop(lock);
    for answer in futures::future::join_all(sent).await {
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    let again = send(&app, &app.address, large("again", 15)).await;
    assert_eq!(again.status(), 200, "the queue has room again");
    foreign.close().await;
}

/// Another server on the same engine, with a memory budget in bytes for ingest, of which the
/// account gets half, and a timeout.
async fn constrained(app: &App, bytes: usize, timeout: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut state = serve::state(app.engine.clone(), &app.address);
    state.body_reader = state.body_reader.clone().with_ingest(bytes, timeout);
    let router = auditstream_server::router(state);
    let limits = ConnectionLimits {
        head: timeout,
        ..ConnectionLimits::default()
    };
    tokio::spawn(connections::serve(listener, router, limits, std::future::pending()));
    address
}

/// Sends all but the last byte of a request with `bytes` + 1 bytes.
async fn stalled(app: &App, address: SocketAddr, bytes: usize) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/audit-events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        app.ingest,
        bytes + 1
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&vec![b' '; bytes]).await.unwrap();
    socket
}

async fn answer(mut socket: TcpStream) -> String {
    let mut text = String::new();
    let read = socket.read_to_string(&mut text);
    drop(
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .expect("it is closed"),
    );
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_flight_are_bounded_in_bytes_and_time() {
    let app = App::start().await;
    let address = constrained(&app, 6 << 20, Duration::from_secs(5)).await;
    let slow = stalled(&app, address, 2 << 20).await;
    let url = format!("http://{address}");
    // The server may not have read the stalled body yet.
    let mut full = send(&app, &url, large("full", 2)).await;
    for _ in 0..20 {
        if full.status() != 200 {
            break;
        }
        full = send(&app, &url, large("full", 2)).await;
    }
    assert_eq!(retry_after(&full), 5);
    refused(full, 503, "unavailable").await;
    let small = send(&app, &url, event("small").to_string()).await;
    assert_eq!(small.status(), 200, "there is memory for a small request");
    let asked = Instant::now();
    let timed_out = answer(slow).await;
    assert!(
        timed_out.starts_with("HTTP/1.1 408") && timed_out.contains("request_timeout"),
        "{timed_out}"
    );
    assert!(asked.elapsed() < Duration::from_secs(10));
    let again = send(&app, &url, large("again", 2)).await;
    assert_eq!(again.status(), 200, "its memory was released");
}

#[tokio::test(flavor = "multi_thread")]
async fn gzip_is_counted_by_its_decompressed_size() {
    let app = App::start().await;
    let address = constrained(&app, 3 << 20, Duration::from_secs(20)).await;
    let mut small = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut small, &vec![b' '; 8 << 20]).unwrap();
    let client = reqwest::Client::new();
    let request = client
        .post(format!("http://{address}/v1/audit-events"))
        .bearer_auth(&app.ingest);
    let request = request
        .header("content-type", "application/x-ndjson")
        .header("content-encoding", "gzip");
    let full = request.body(small.finish().unwrap()).send().await.unwrap();
    refused(full, 503, "unavailable").await;
}

#[tokio::test]
async fn headers_that_never_end_are_abandoned() {
    let app = App::start().await;
    let address = constrained(&app, 1 << 20, Duration::from_millis(500)).await;
    for begun in ["", "GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: "] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(begun.as_bytes()).await.unwrap();
        let asked = Instant::now();
        answer(socket).await;
        assert!(asked.elapsed() < Duration::from_secs(10), "{begun:?}");
    }
}
