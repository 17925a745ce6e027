//! `auditstream backup` and `auditstream restore`, with the server as a process.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::app::EVENTS;
use crate::process::{Server, auditstream, printed, refused};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    auditstream(folder, arguments).output().unwrap()
}

fn start(folder: &Path) -> Server {
    Server::start_with(&mut auditstream(folder, &["serve"]))
}

/// Sends one recorded event under another id. Returns the status and the body.
async fn send(server: &Server, token: &str, id: &str) -> (u16, Value) {
    let mut event: Value = serde_json::from_str(EVENTS.lines().next().unwrap()).unwrap();
    event["auditEventId"] = id.into();
    let client = reqwest::Client::new();
    let request = client.post(format!("{}/v1/audit-events", server.address));
    let response = request.bearer_auth(token).json(&[event]).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn sequence((status, body): (u16, Value)) -> i64 {
    assert_eq!(status, 200, "{body}");
    body["first_sequence"].as_i64().unwrap()
}

#[tokio::test]
async fn a_backup_made_while_the_server_runs_is_restored_after_a_gap() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let token = ["token", "create", "--name", "in", "--scope", "ingest"];
    let token = printed(&run(folder, &token));
    let mut server = start(folder);
    sequence(send(&server, &token, "before").await);
    let copy = folder.join("copy.db");
    let copy = copy.to_str().unwrap();
    let said = printed(&run(folder, &["backup", copy]));
    assert!(said.contains("2 event(s)") && said.contains("master key"), "{said}");
    assert_eq!(std::fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o600);
    let given = sequence(send(&server, &token, "after").await);
    refused(&run(folder, &["restore", copy, "--force"]), "another server");
    server.kill();
    refused(&run(folder, &["restore", copy]), "--force");
    let said = printed(&run(folder, &["restore", copy, "--force"]));
    assert!(
        said.contains("moved the present database") && said.contains("after a gap"),
        "{said}"
    );
    let server = start(folder);
    let next = sequence(send(&server, &token, "after").await);
    assert!(next > given + 100_000, "{next}");
}

#[tokio::test]
async fn without_high_water_marks_a_running_server_waits_for_the_confirmation() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let token = ["token", "create", "--name", "in", "--scope", "ingest"];
    let token = printed(&run(folder, &token));
    std::fs::remove_file(folder.join("auditstream.marks")).unwrap();
    let server = start(folder);
    let (status, body) = send(&server, &token, "first").await;
    assert_eq!(status, 503);
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("auditstream restore --confirm"),
        "{body}"
    );
    let ready = reqwest::get(format!("{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 503);
    let said = printed(&run(folder, &["restore", "--confirm", "--after", "7000000"]));
    assert!(said.contains("7100002"), "{said}");
    let said = printed(&run(folder, &["restore", "--confirm"]));
    assert!(said.contains("nothing to confirm"), "{said}");
    for _ in 0..600 {
        let answer = send(&server, &token, "first").await;
        if answer.0 == 200 {
            assert_eq!(sequence(answer), 7_100_002);
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the server does not notice the confirmation");
}
