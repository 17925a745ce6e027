//! Stopping a server: it drains, requests in flight finish, and a second signal ends it at once.

use std::time::Duration;

use auditstream_engine::database::{Database, DatabaseUrl, Limits};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::EVENTS;
use crate::process::{Server, auditstream, signal, token};

/// Waits until a server refuses to be ready.
async fn unready(server: &Server) {
    for _ in 0..400 {
        let ready = reqwest::get(format!("{}/readyz", server.address)).await.unwrap();
        if ready.status() == 503 {
            assert!(ready.text().await.unwrap().contains("stopping"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it is still ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_is_unready_and_accepts_requests_until_a_second_signal_ends_it() {
    let folder = TempDir::new().unwrap();
    let mut command = auditstream(folder.path(), &["serve"]);
    let mut server = Server::start_with(command.env("AUDITSTREAM_DRAIN", "10m"));
    let ingest = token(folder.path(), "ingest");
    signal(&server, "TERM");
    unready(&server).await;
    let client = reqwest::Client::new();
    let sent = client
        .post(format!("{}/v1/audit-events", server.address))
        .bearer_auth(ingest);
    let sent = sent.header("content-type", "application/x-ndjson").body(EVENTS).send();
    assert_eq!(sent.await.unwrap().status(), 200);
    let alive = reqwest::get(format!("{}/healthz", server.address)).await.unwrap();
    assert_eq!(alive.status(), 200);
    signal(&server, "TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(128 + 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_a_request_in_flight() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start_with(&mut auditstream(folder.path(), &["serve"]));
    let ingest = token(folder.path(), "ingest");
    let mut socket = TcpStream::connect(server.address.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!(
        "POST /v1/audit-events HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {ingest}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // The server waits for the body.
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    signal(&server, "TERM");
    let address = server.address.trim_start_matches("http://").to_owned();
    while TcpStream::connect(&address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        server.child.try_wait().unwrap().is_none(),
        "the request may still finish"
    );
    signal(&server, "INT");
    assert_eq!(server.child.wait().unwrap().code(), Some(128 + 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_a_server_creates_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    fn check(folder: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
            found.push(path.display().to_string());
            if path.is_dir() {
                check(&path, found);
            }
        }
    }
    let folder = TempDir::new().unwrap();
    let mut command = auditstream(folder.path(), &["serve", "--demo"]);
    let demo = Server::start_with(command.env_remove("AUDITSTREAM_MASTER_KEY"));
    drop(demo);
    let mut command = auditstream(folder.path(), &["serve"]);
    let _server = Server::start_with(command.env_remove("AUDITSTREAM_MASTER_KEY"));
    let mut found = Vec::new();
    check(folder.path(), &mut found);
    for name in [
        "auditstream.db",
        "auditstream.lock",
        "master.key",
        "demo/store",
        "demo/password",
    ] {
        assert!(found.iter().any(|path| path.ends_with(name)), "{name}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_is_ended_by_a_signal() {
    let folder = TempDir::new().unwrap();
    drop(Server::start_with(&mut auditstream(folder.path(), &["serve"])));
    // Another process has the database's write lock.
    let file = DatabaseUrl::Sqlite(folder.path().join("auditstream.db"));
    let foreign = Database::open(&file, &Limits::default()).await.unwrap();
    let _lock = foreign.write().await.unwrap();
    let mut child = auditstream(folder.path(), &["serve"]).spawn().unwrap();
    // Until the process handles the signal itself, it would end it without a code.
    let handles_sigterm = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap()
            .trim();
        u64::from_str_radix(caught, 16).unwrap() & (1 << (15 - 1)) != 0
    };
    while !handles_sigterm() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    crate::process::signal_process(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
