//! `auditstream events …`, with its results for people and for scripts.

use std::io::Read as _;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::app::EVENTS;
use crate::process::{Server, auditstream, printed, refused, signal_process, token};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    auditstream(folder, arguments).output().unwrap()
}

/// A folder whose trail has the recorded events and a few of the server.
async fn filled() -> TempDir {
    let folder = TempDir::new().unwrap();
    let ingest = token(folder.path(), "ingest");
    let server = Server::start_with(&mut auditstream(folder.path(), &["serve"]));
    let client = reqwest::Client::new();
    let sent = client
        .post(format!("{}/v1/audit-events", server.address))
        .bearer_auth(&ingest)
        .header("content-type", "application/x-ndjson")
        .body(EVENTS)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    drop(server);
    folder
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ids(events: &[Value]) -> Vec<String> {
    let id = |event: &Value| event["auditEventId"].as_str().unwrap().to_owned();
    events.iter().map(id).collect()
}

#[tokio::test]
async fn events_are_listed_page_by_page_as_a_table_or_as_json() {
    let folder = filled().await;
    let folder = folder.path();
    let table = printed(&run(folder, &["events", "list", "--module", "S3", "--limit", "3"]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("TIME ") && lines[1].contains("S3"), "{table}");
    let whole = printed(&run(folder, &["events", "list", "--json", "--limit", "150"]));
    let whole = ids(&parsed(&whole));
    assert_eq!(whole.len(), 150, "more than a page of the API");
    let first = run(folder, &["events", "list", "--json", "--limit", "120"]);
    let said = String::from_utf8(first.stderr.clone()).unwrap();
    let cursor = said.split("--cursor ").nth(1).unwrap();
    let cursor = cursor.split_whitespace().next().unwrap();
    let rest = ["events", "list", "--json", "--limit", "30", "--cursor", cursor];
    let mut joined = ids(&parsed(&printed(&first)));
    joined.extend(ids(&parsed(&printed(&run(folder, &rest)))));
    assert_eq!(joined, whole, "{said}");
    let none = ["events", "list", "--end", "1970-01-02"];
    assert_eq!(printed(&run(folder, &none)).lines().count(), 1, "only the titles");
    refused(&run(folder, &["events", "list", "--cursor", "nonsense"]), "cursor");
    assert_eq!(
        run(folder, &["events", "list", "--start", "soon"]).status.code(),
        Some(2)
    );
}

#[tokio::test]
async fn one_event_is_printed_by_its_sequence_or_its_id() {
    let folder = filled().await;
    let folder = folder.path();
    let second = printed(&run(folder, &["events", "get", "2"]));
    let event: Value = serde_json::from_str(&second).unwrap();
    assert_eq!(event["auditEventMetadata"]["sequence"], 2);
    let id = event["auditEventId"].as_str().unwrap();
    assert_eq!(printed(&run(folder, &["events", "get", id])), second);
    for absent in [&["events", "get", "999999"][..], &["events", "get", "2", "--by", "id"]] {
        let output = run(folder, absent);
        assert_eq!(output.status.code(), Some(3), "{absent:?}");
        assert!(output.stdout.is_empty());
    }
    refused(
        &run(folder, &["events", "get", "e1", "--by", "sequence"]),
        "not a sequence",
    );
    let elsewhere = run(folder, &["events", "get", "2", "--account", "nowhere"]);
    assert_eq!(elsewhere.status.code(), Some(1));
}

#[tokio::test]
async fn an_export_is_complete_or_leaves_nothing_and_the_trail_records_it() {
    let folder = filled().await;
    let folder = folder.path();
    let wanted = EVENTS
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).unwrap()["auditModule"] == "S3")
        .count();
    let exported = printed(&run(folder, &["events", "export", "--module", "S3"]));
    assert_eq!(exported.lines().count(), wanted);
    let file = folder.join("events.ndjson");
    std::fs::write(&file, "an older export").unwrap();
    let arguments = ["events", "export", "--module", "S3", "--output", file.to_str().unwrap()];
    let said = printed(&run(folder, &arguments));
    assert!(said.contains(&format!("exported {wanted} event(s)")), "{said}");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), exported);
    let nowhere = ["events", "export", "--output", "/nonexistent/events.ndjson"];
    refused(&run(folder, &nowhere), "cannot write /nonexistent");
    refused(
        &run(folder, &["events", "export", "--output", "/dev/null"]),
        "standard output",
    );
    // Its reader leaves at once.
    let mut child = auditstream(folder, &["events", "export"]).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let list = ["events", "list", "--json", "--resource-type", "AUDIT_TRAIL"];
    let recorded = parsed(&printed(&run(folder, &list)));
    let actions: Vec<&str> = recorded
        .iter()
        .map(|event| event["auditAction"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["EXPORTED", "EXPORT"].repeat(3));
    let new = |index: usize| &recorded[index]["auditEventMetadata"]["difference"]["new"];
    assert_eq!(
        (&new(0)["complete"], &new(2)["complete"]),
        (&false.into(), &true.into())
    );
    assert_eq!(
        (&new(2)["events"], &new(2)["filter"]["module"]),
        (&wanted.into(), &"S3".into())
    );
    let principal = &recorded[0]["auditEventAuthor"]["principal"];
    assert_eq!(
        (&principal["type"], &principal["identifier"]),
        (&"SYSTEM".into(), &"command line".into())
    );
}

#[tokio::test]
async fn an_export_that_is_interrupted_says_so() {
    let folder = filled().await;
    let folder = folder.path();
    // The events are more than a pipe has room for, so that the export waits for its reader.
    let mut child = auditstream(folder, &["events", "export"]).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    signal_process(child.id(), "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let list = ["events", "list", "--json", "--action", "EXPORTED"];
    let recorded = parsed(&printed(&run(folder, &list)));
    assert_eq!(
        recorded[0]["auditEventMetadata"]["difference"]["new"]["complete"],
        false
    );
}
