//! `auditstream destinations …`: the settings of batches on the command line.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::app::{connector, destination};
use crate::process::{Server, auditstream, printed, refused, token};

/// Creates a connector and the inactive destination `siem`, through the API.
async fn create(folder: &Path) {
    let admin = token(folder, "admin");
    let server = Server::start_with(&mut auditstream(folder, &["serve"]));
    for (path, body) in [
        ("connectors", connector("http://127.0.0.1:1")),
        ("streaming-destinations", destination("siem", "INACTIVE")),
    ] {
        let created = reqwest::Client::new()
            .post(format!("{}/v1/{path}", server.address))
            .bearer_auth(&admin)
            .json(&body);
        assert_eq!(created.send().await.unwrap().status(), 201, "{path}");
    }
}

#[tokio::test]
async fn the_command_line_lists_destinations_and_changes_the_settings_of_their_batches() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let run = |arguments: &[&str]| auditstream(folder, arguments).output().unwrap();
    let set = |arguments: &[&str]| run(&[&["destinations", "set", "siem"], arguments].concat());
    assert_eq!(printed(&run(&["destinations", "list"])), "");
    create(folder).await;
    let first = printed(&run(&["destinations", "list"]));
    let defaults = "batch events 10000\tbatch bytes 16777216\tinterval server\tcompression gzip 6";
    assert_eq!(first, format!("siem\tsiem\tINACTIVE\t{defaults}"));
    let all = [
        "--batch-events",
        "100000",
        "--batch-bytes",
        "67108864",
        "--interval",
        "5m",
        "--compression-level",
        "9",
    ];
    let changed = printed(&set(&all));
    assert!(changed.ends_with("batch events 100000\tbatch bytes 67108864\tinterval 300s\tcompression gzip 9"));
    assert_eq!(printed(&run(&["destinations", "list"])), changed);
    let one = printed(&set(&["--batch-events", "5"]));
    assert!(
        one.contains("batch events 5\tbatch bytes 67108864"),
        "the others are kept: {one}"
    );
    for (arguments, message) in [
        (["--batch-events", "100001"], "1 to 100,000"),
        (["--batch-bytes", "1"], "1,048,576"),
        (["--interval", "9s"], "10 to 86,400"),
        (["--compression-level", "10"], "from 1 to 9"),
    ] {
        refused(&set(&arguments), message);
    }
    for invalid in [&[][..], &["--batch-events", "many"], &["--interval", "10"]] {
        assert_eq!(set(invalid).status.code(), Some(2), "{invalid:?}");
    }
    refused(&run(&["destinations", "set", "other", "--batch-events", "5"]), "other");
    refused(&run(&["destinations", "list", "--account", "nowhere"]), "nowhere");
    assert_eq!(
        printed(&run(&["destinations", "list"])),
        one,
        "a refusal changes nothing"
    );
    let reset = [
        "--batch-events",
        "default",
        "--batch-bytes",
        "default",
        "--interval",
        "default",
        "--compression-level",
        "default",
    ];
    assert_eq!(printed(&set(&reset)), first);
    let recorded = printed(&run(&["events", "list", "--json", "--action", "UPDATE"]));
    let recorded: Vec<Value> = recorded
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(recorded.len(), 3);
    let difference = &recorded[2]["auditEventMetadata"]["difference"];
    assert_eq!(difference["old"]["spec"]["batch_events"], 10_000);
    assert_eq!(difference["new"]["spec"]["batch_events"], 100_000);
}
