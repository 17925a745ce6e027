//! compose, Helm and systemd files pass `VAR=` for settings without a value.

use std::collections::BTreeSet;

use auditstream_server::configuration::CommandLine;
use clap::{Command, CommandFactory as _};
use tempfile::TempDir;

use crate::process::{Server, auditstream, printed, refused};

/// Variables that libraries read, apart from the command line.
const OTHERS: [&str; 12] = [
    "AUDITSTREAM_PASSWORD",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TZ",
];

/// Every variable of a command and its subcommands.
fn variables(command: &Command, found: &mut BTreeSet<String>) {
    let own = command.get_arguments().filter_map(|arg| arg.get_env());
    found.extend(own.map(|name| name.to_string_lossy().into_owned()));
    command.get_subcommands().for_each(|sub| variables(sub, found));
}

/// A command for which every variable is set to `value`.
fn with_all(folder: &TempDir, arguments: &[&str], value: &str) -> std::process::Command {
    let mut found = BTreeSet::new();
    variables(&CommandLine::command(), &mut found);
    assert!(found.len() > 18, "{found:?}");
    let mut command = auditstream(folder.path(), arguments);
    for name in found.iter().map(String::as_str).chain(OTHERS) {
        command.env(name, value);
    }
    command
}

#[tokio::test]
async fn a_server_starts_although_every_variable_is_empty() {
    for value in ["", " "] {
        let folder = TempDir::new().unwrap();
        // The default port may be in use.
        let mut command = with_all(&folder, &["serve"], value);
        let server = Server::start_with(command.env("AUDITSTREAM_LISTEN", "127.0.0.1:0"));
        let ready = reqwest::get(format!("{}/readyz", server.address)).await.unwrap();
        assert_eq!(ready.status(), 200);
        assert!(folder.path().join("data/auditstream.db").exists(), "the default folder");
    }
}

#[test]
fn an_empty_address_is_the_default_one() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing.pem");
    let mut command = with_all(&folder, &["serve"], "");
    // Stops the start after the address has been parsed, and before it is bound.
    command
        .env("AUDITSTREAM_TLS_CERT", &missing)
        .env("AUDITSTREAM_TLS_KEY", &missing);
    refused(&command.output().unwrap(), "missing.pem cannot be read");
}

#[test]
fn commands_work_although_every_variable_is_empty() {
    let folder = TempDir::new().unwrap();
    assert_eq!(
        printed(&with_all(&folder, &["token", "list"], "").output().unwrap()),
        ""
    );
    let rotated = printed(&with_all(&folder, &["key", "rotate"], "").output().unwrap());
    assert_eq!(rotated, "0 secret(s) encrypted under a new data key");
    let arguments = [
        "user",
        "create",
        "--email",
        "ada@example.com",
        "--role",
        "account_admin",
    ];
    let output = with_all(&folder, &arguments, "").output().unwrap();
    refused(&output, "cannot ask for a password");
}
