//! Log files are full of colour codes.

use std::io::Read as _;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Server, auditstream, signal};

/// Starts and stops a server, and returns its log.
fn log(format: Option<&str>) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = auditstream(folder.path(), &["serve"]);
    command.env("RUST_LOG", "debug");
    if let Some(format) = format {
        command.env("AUDITSTREAM_LOG_FORMAT", format);
    }
    let mut server = Server::spawn(&mut command);
    let mut stderr = server.child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        log
    });
    signal(&server, "TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    reader.join().unwrap()
}

#[test]
fn a_log_that_is_not_a_terminal_has_no_colours() {
    let log = log(None);
    assert!(log.contains("stopping"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[test]
fn a_log_in_json_is_one_object_per_line() {
    let log = log(Some("json"));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for member in ["timestamp", "level", "target"] {
            assert!(line[member].is_string(), "{line}");
        }
    }
    assert!(lines.iter().any(|line| line["message"] == "stopping"), "{log}");
}

#[test]
fn the_reason_of_a_refused_start_is_json_as_well() {
    let folder = TempDir::new().unwrap();
    let output = auditstream(folder.path(), &["serve", "--log-format", "json"])
        .env("AUDITSTREAM_MASTER_KEY", "nonsense")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(
        last["message"].as_str().unwrap().contains("AUDITSTREAM_MASTER_KEY"),
        "{log}"
    );
}
