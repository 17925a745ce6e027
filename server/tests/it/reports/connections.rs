//! Connections that are kept, cut off and closed.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use auditstream_server::http::connections::{self, Limits};
use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::App;

const WAIT: Duration = Duration::from_secs(20);

async fn serve(router: Router, limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(connections::serve(listener, router, limits, std::future::pending()));
    address
}

/// Sends a request and reads its response, which has the body `ok`.
async fn ask(socket: &mut TcpStream) {
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\nok") {
        let read = tokio::time::timeout(WAIT, socket.read_buf(&mut response)).await;
        assert_ne!(read.expect("it responds").unwrap(), 0, "the connection is open");
    }
}

/// Waits until the server closes a connection.
async fn closed(socket: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(WAIT, socket.read_to_end(&mut rest)).await;
    let _ = read.expect("it is closed");
}

fn ok() -> Router {
    Router::new().route("/", get(async || "ok"))
}

#[tokio::test]
async fn idle_connection_kept() {
    assert!(
        Limits::default().idle > Duration::from_secs(60),
        "load balancers keep connections for 60 s"
    );
    let head = Duration::from_millis(200);
    let address = serve(
        ok(),
        Limits {
            head,
            ..Limits::default()
        },
    )
    .await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    ask(&mut kept).await;
    // A connection without a request is closed after the shorter limit, which is then over for
    // both.
    let mut silent = TcpStream::connect(address).await.unwrap();
    closed(&mut silent).await;
    ask(&mut kept).await;
    kept.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    closed(&mut kept).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let idle = Duration::from_millis(200);
    let address = serve(
        ok(),
        Limits {
            idle,
            ..Limits::default()
        },
    )
    .await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    ask(&mut socket).await;
    closed(&mut socket).await;
}

/// A client that sends all of its body before it reads, as Python's `http.client` does.
fn send_and_then_read(address: SocketAddr, token: &str, bytes: usize) -> String {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /v1/audit-events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    let chunk = vec![b' '; 64 << 10];
    for _ in 0..bytes / chunk.len() {
        socket.write_all(&chunk).expect("the whole body is sent");
    }
    let mut response = String::new();
    socket
        .read_to_string(&mut response)
        .expect("the response is read, and its end");
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn early_refusal_of_large_body() {
    let app = App::start().await;
    let address: SocketAddr = app.address.trim_start_matches("http://").parse().unwrap();
    let too_large = (app.ingest.clone(), 64 << 20, "413", "too_large");
    let unknown = ("unknown".to_owned(), 12 << 20, "401", "unauthenticated");
    let forbidden = (app.read.clone(), 12 << 20, "403", "forbidden");
    for (token, bytes, status, code) in [unknown, too_large, forbidden] {
        let sent = tokio::task::spawn_blocking(move || send_and_then_read(address, &token, bytes));
        let response = tokio::time::timeout(WAIT, sent).await.expect("in time").unwrap();
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}")) && response.contains(code),
            "{response}"
        );
        assert!(response.contains("connection: close"), "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_cut_off() {
    let large = Router::new().route("/", get(async || vec![0_u8; 64 << 20]));
    let write = Duration::from_millis(300);
    let limits = Limits {
        write,
        // The only place, so that it is seen when it is free again.
        connections: 1,
        per_network: 1,
        ..Limits::default()
    };
    let address = serve(large, limits).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    // Writing fails once the server has dropped the connection.
    let dropped = async {
        while socket.write_all(b"\r\n").await.is_ok() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(WAIT, dropped).await.expect("it is cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_refused_and_accepted_again() {
    let stuck = Router::new().route("/", get(std::future::pending::<&'static str>));
    let limits = Limits {
        connections: 10,
        per_network: 2,
        ..Limits::default()
    };
    let address = serve(stuck, limits).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        busy.push(socket);
    }
    let refused = async || {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut response = String::new();
        let read = tokio::time::timeout(Duration::from_millis(500), socket.read_to_string(&mut response)).await;
        read.is_ok() && response.starts_with("HTTP/1.1 503")
    };
    assert!(refused().await);
    drop(busy);
    tokio::time::timeout(WAIT, async { while refused().await {} })
        .await
        .expect("there is a place again");
}
