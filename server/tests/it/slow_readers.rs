//! Clients that read slowly or not at all: their pages count in the budget of their account (rule
//! 11), and they are cut off.

use std::net::SocketAddr;
use std::time::Duration;

use auditstream_server::http::connections::{self, Limits};
use auditstream_server::http::response_memory::ResponseMemory;
use auditstream_server::state::AppState;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::app::{App, event};

/// A server on the engine of `app` with a small budget, which cuts clients off soon.
async fn impatient(app: &App) -> (AppState, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut state = auditstream_server::cli::serve::state(app.engine.clone(), &app.address);
    state.response_memory = ResponseMemory::new(16 << 20);
    let limits = Limits {
        write: Duration::from_secs(1),
        ..Limits::default()
    };
    let router = auditstream_server::router(state.clone());
    tokio::spawn(connections::serve(listener, router, limits, std::future::pending()));
    (state, address)
}

/// Sends a request and never reads.
async fn ask(address: SocketAddr, path: &str, header: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{header}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

async fn reaches(state: &AppState, expected: impl Fn(usize) -> bool) {
    let reached = async {
        while !expected(state.response_memory.taken()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, reached).await.expect("the memory changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_waits_for_its_reader_counts_until_the_reader_is_cut_off() {
    let app = App::start().await;
    let large = |number: usize| {
        let mut event = event(&format!("large {number}"));
        event["auditEventMetadata"]["text"] = "x".repeat(1_000_000).into();
        event
    };
    let events: Vec<_> = (0..14).map(large).collect();
    let sent = app.send_events("application/json").json(&events).send().await.unwrap();
    assert_eq!(sent.status(), 200, "{}", sent.text().await.unwrap());
    let cookie = format!("cookie: {}", app.signed_in().await);
    let bearer = format!("authorization: Bearer {}", app.read);
    let (state, address) = impatient(&app).await;

    let _search = ask(address, "/v1/audit-events?limit=100", &bearer).await;
    reaches(&state, |taken| taken > 3 << 20).await;
    reaches(&state, |taken| taken == 0).await;

    let export = "/settings/audit-trail/logs/export";
    let _export = ask(address, export, &cookie).await;
    reaches(&state, |taken| taken == 8 << 20).await;
    // The account has half of the budget.
    let client = reqwest::Client::new();
    let another = client
        .get(format!("http://{address}{export}"))
        .header("cookie", cookie.trim_start_matches("cookie: "))
        .send()
        .await
        .unwrap();
    assert_eq!(another.status(), 503);
    assert!(another.headers().contains_key("retry-after"));
    reaches(&state, |taken| taken == 0).await;
}
