//! `auditstream migrate`, with the server as a process.

use std::path::Path;
use std::process::Output;

use auditstream_testkit::postgres;
use serde_json::Value;
use tempfile::TempDir;

use crate::app::{EVENTS, KEY};
use crate::process::{Server, auditstream, printed, refused, token};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    auditstream(folder, arguments).output().unwrap()
}

/// Sends the recorded events and returns the response.
async fn send(server: &Server, token: &str) -> Value {
    let client = reqwest::Client::new();
    let sent = client
        .post(format!("{}/v1/audit-events", server.address))
        .bearer_auth(token)
        .header("content-type", "application/x-ndjson")
        .body(EVENTS)
        .send()
        .await
        .unwrap();
    sent.json().await.unwrap()
}

#[tokio::test]
async fn an_installation_moves_from_a_file_to_postgresql_and_returns() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let ingest = token(folder, "ingest");
    let mut server = Server::start_with(&mut auditstream(folder, &["serve"]));
    let first = send(&server, &ingest).await;
    assert!(first["accepted"].as_i64().unwrap() > 100, "{first}");
    let url = postgres::database();
    let migrate = ["migrate", "--to", &url];
    refused(&run(folder, &migrate), "another server");
    server.kill();
    assert_eq!(run(folder, &["migrate"]).status.code(), Some(2));
    let folderless = ["migrate", "--to", "sqlite:///nonexistent/new.db"];
    refused(&run(folder, &folderless), "no folder");
    let said = printed(&run(folder, &migrate));
    assert!(
        said.contains("are equal") && said.contains("AUDITSTREAM_DATABASE_URL"),
        "{said}"
    );
    assert!(!said.contains("audit@"), "the address without the user: {said}");
    refused(&run(folder, &["serve"]), "was moved to postgres://");
    let checked = String::from_utf8(run(folder, &["doctor"]).stdout).unwrap();
    assert!(checked.contains("is not to be used"), "{checked}");
    printed(&run(folder, &["migrate", "--undo", "--to", &url]));
    let list = printed(&run(folder, &["events", "list", "--limit", "1"]));
    assert_eq!(list.lines().count(), 2, "{list}");

    let url = postgres::database();
    let mut command = auditstream(folder, &["migrate"]);
    printed(&command.env("AUDITSTREAM_MIGRATE_TO", &url).output().unwrap());
    let mut command = auditstream(folder, &["serve"]);
    command
        .env("AUDITSTREAM_DATABASE_URL", &url)
        .env("AUDITSTREAM_MASTER_KEY", KEY);
    let server = Server::start_with(&mut command);
    let again = send(&server, &ingest).await;
    assert_eq!(
        (&again["accepted"], &again["duplicates"]),
        (&0.into(), &first["accepted"])
    );
}
