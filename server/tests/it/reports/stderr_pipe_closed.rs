//! The reader of the server's log goes away, and the next line of the log brings a thread down.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::app::{EVENTS, connector, destination};
use crate::process::{Server, auditstream, token};
use auditstream_testkit::s3::{NetworkFault, Proxy, Store};

/// Streams through a store that refuses the first attempts, each of which is logged, and returns
/// the metrics.
async fn streams(server: &Server, folder: &TempDir) -> String {
    let store = Store::start_in(folder.path(), "logs").await;
    let proxy = Proxy::start(&store).await;
    proxy.next(&[NetworkFault::SlowDown; 3]);
    let (ingest, admin) = (token(folder.path(), "ingest"), token(folder.path(), "admin"));
    let client = reqwest::Client::new();
    let post = async |path: &str, token: &str, kind: &str, body: String| {
        let request = client.post(format!("{}{path}", server.address)).bearer_auth(token);
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    };
    let mut aws = connector(&proxy.endpoint);
    aws["spec"]["backoff"] = json!({"type": "FIXED_DELAY", "fixed_backoff": 10, "retry_count": 5});
    post("/v1/connectors", &admin, "application/json", aws.to_string()).await;
    post("/v1/audit-events", &ingest, "application/x-ndjson", EVENTS.to_owned()).await;
    let active = destination("siem", "ACTIVE").to_string();
    post("/v1/streaming-destinations", &admin, "application/json", active).await;
    let is_delivered = || store.sequences("logs").len() >= EVENTS.lines().count();
    for _ in 0..600 {
        if is_delivered() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(is_delivered());
    let get = async |path: &str| client.get(format!("{}{path}", server.address)).send().await.unwrap();
    assert_eq!(get("/readyz").await.status(), 200);
    get("/metrics").await.text().await.unwrap()
}

fn lost_lines(metrics: &str) -> u64 {
    let found = metrics
        .lines()
        .find_map(|line| line.strip_prefix("auditstream_log_lines_lost_total "));
    found.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_standard_error_is_closed_streams_and_counts_the_lost_lines() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::spawn(&mut auditstream(folder.path(), &["serve"]));
    drop(server.child.stderr.take());
    let metrics = streams(&server, &folder).await;
    assert!(lost_lines(&metrics) >= 3, "{metrics}");
    assert!(metrics.contains("auditstream_panics_total 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_is_on_a_full_disk_streams_and_counts_the_lost_lines() {
    let folder = TempDir::new().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let server = Server::spawn(auditstream(folder.path(), &["serve"]).stderr(full));
    assert!(lost_lines(&streams(&server, &folder).await) >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_log_is_not_read_streams() {
    let folder = TempDir::new().unwrap();
    let mut command = auditstream(folder.path(), &["serve"]);
    // Much more than a pipe can contain.
    let mut server = Server::spawn(command.env("RUST_LOG", "trace"));
    let unread = server.child.stderr.take();
    streams(&server, &folder).await;
    crate::process::signal(&server, "TERM");
    assert_eq!(
        server.child.wait().unwrap().code(),
        Some(0),
        "nor does it delay the stop"
    );
    drop(unread);
}

#[tokio::test]
async fn a_refused_start_with_a_closed_standard_error_has_its_exit_code() {
    let folder = TempDir::new().unwrap();
    let mut command = auditstream(folder.path(), &["serve"]);
    command.env("AUDITSTREAM_MASTER_KEY", "nonsense");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = command.stderr(Stdio::from(full)).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_result_that_cannot_be_printed_is_an_error_and_no_panic() {
    let folder = TempDir::new().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let arguments = ["token", "create", "--name", "lost", "--scope", "read"];
    let output = auditstream(folder.path(), &arguments).stdout(full).output().unwrap();
    crate::process::refused(&output, "cannot write to standard output");
    // It exists, and can be revoked.
    let list = crate::process::printed(&auditstream(folder.path(), &["token", "list"]).output().unwrap());
    assert!(list.contains("lost"), "{list}");
}
