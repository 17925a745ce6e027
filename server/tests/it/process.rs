//! The binary as a process: starting, refusing to start, surviving a kill.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{EVENTS, KEY, PASSWORD, connector, destination};
use auditstream_testkit::s3::Store;

const OTHER_KEY: &str = "//////////////////////////////////////////8=";

pub(crate) fn auditstream(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_auditstream"));
    command.args(arguments).env_clear().current_dir(folder);
    command
        .env("AUDITSTREAM_DATA_DIR", folder)
        .env("AUDITSTREAM_LISTEN", "127.0.0.1:0")
        .env("AUDITSTREAM_MASTER_KEY", KEY);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server process that is killed when the test ends.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    printed: Vec<String>,
}

impl Server {
    fn start(folder: &Path) -> Self {
        Self::start_with(&mut auditstream(folder, &["serve"]))
    }

    pub(crate) fn start_with(command: &mut Command) -> Self {
        Self::spawn(command.stderr(Stdio::null()))
    }

    /// Starts a server with the command's own standard error.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap();
        let mut server = Self {
            child,
            address: String::new(),
            printed: Vec::new(),
        };
        for line in BufReader::new(server.child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(address) = line.strip_prefix("listening on ") {
                server.address = address.to_owned();
                return server;
            }
            server.printed.push(line);
        }
        panic!("the server ended before it was ready: {:?}", server.printed);
    }

    /// The largest memory that the process had since [`forget_peak`](Self::forget_peak), in MiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10
    }

    /// Sets the largest memory to the present one.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

/// Checks for exit code 1 and one line on standard error that contains `text`.
pub(crate) fn refused(output: &Output, text: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = errors.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(line.starts_with("auditstream: ") && line.contains(text), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

/// Sends a signal, such as `TERM`, to a server.
pub(crate) fn signal(server: &Server, name: &str) {
    signal_process(server.child.id(), name);
}

pub(crate) fn signal_process(id: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(id.to_string())
        .status();
    assert!(sent.unwrap().success());
}

pub(crate) fn token(folder: &Path, scope: &str) -> String {
    printed(
        &auditstream(folder, &["token", "create", "--name", scope, "--scope", scope])
            .output()
            .unwrap(),
    )
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
    let folder = TempDir::new().unwrap();
    let occupant = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupant.local_addr().unwrap().to_string();
    let output = auditstream(folder.path(), &["serve"])
        .env("AUDITSTREAM_LISTEN", address)
        .output()
        .unwrap();
    refused(&output, "already in use");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let folder = TempDir::new().unwrap();
    let _first = Server::start(folder.path());
    refused(
        &auditstream(folder.path(), &["serve"]).output().unwrap(),
        "another server",
    );
}

#[test]
fn a_wrong_master_key_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(Server::start(folder.path()));
    let output = auditstream(folder.path(), &["serve"])
        .env("AUDITSTREAM_MASTER_KEY", OTHER_KEY)
        .output()
        .unwrap();
    refused(&output, "key");
    let output = auditstream(folder.path(), &["serve"])
        .env("AUDITSTREAM_MASTER_KEY", "nonsense")
        .output()
        .unwrap();
    refused(&output, "AUDITSTREAM_MASTER_KEY");
}

#[test]
fn an_unreachable_postgresql_is_reported_in_one_line_without_its_password() {
    let folder = TempDir::new().unwrap();
    let mut serve = auditstream(folder.path(), &["serve"]);
    serve.env("AUDITSTREAM_DATABASE_URL", "postgres://audit:hush@127.0.0.1:1/audit");
    let output = serve.output().unwrap();
    refused(&output, "cannot open the database postgres://127.0.0.1:1/audit");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hush"));
    let output = serve.env_remove("AUDITSTREAM_MASTER_KEY").output().unwrap();
    refused(&output, "AUDITSTREAM_MASTER_KEY is required");
}

#[tokio::test]
async fn keys_are_rotated_while_a_server_is_running() {
    const NEW: &str = "ODk4OTg5ODk4OTg5ODk4OTg5ODk4OTg5ODk4OTg5ODk=";
    let folder = TempDir::new().unwrap();
    let store = Store::start_in(folder.path(), "logs").await;
    let admin = token(folder.path(), "admin");
    let works = async |server: &Server| {
        let client = reqwest::Client::new();
        let test = client.post(format!("{}/v1/connectors/aws/test", server.address));
        let answer: Value = test.bearer_auth(&admin).send().await.unwrap().json().await.unwrap();
        answer["status"] == "SUCCESS"
    };
    let run = |arguments: &[&str], key: &str, new: Option<&str>| {
        let mut command = auditstream(folder.path(), arguments);
        command.env("AUDITSTREAM_MASTER_KEY", key);
        if let Some(new) = new {
            command.env("AUDITSTREAM_NEW_MASTER_KEY", new);
        }
        command.output().unwrap()
    };
    let server = Server::start(folder.path());
    let made = reqwest::Client::new()
        .post(format!("{}/v1/connectors", server.address))
        .bearer_auth(&admin)
        .json(&connector(&store.endpoint));
    assert_eq!(made.send().await.unwrap().status(), 201);
    let printed_line = printed(&run(&["key", "rotate"], KEY, None));
    assert!(printed_line.starts_with("1 secret(s)"), "{printed_line}");
    assert!(works(&server).await);
    printed(&run(&["key", "rotate"], KEY, Some(NEW)));
    assert!(works(&server).await);
    drop(server);
    let mut serve = auditstream(folder.path(), &["serve"]);
    let server = Server::start_with(serve.env("AUDITSTREAM_MASTER_KEY", NEW));
    assert!(works(&server).await);
    printed(&run(&["key", "retire"], NEW, None));
    assert!(works(&server).await);
    refused(&run(&["token", "list"], KEY, None), "master key");
    refused(
        &run(&["key", "rotate"], NEW, Some("short")),
        "AUDITSTREAM_NEW_MASTER_KEY",
    );
}

#[test]
fn tokens_are_listed_and_revoked() {
    let folder = TempDir::new().unwrap();
    token(folder.path(), "ingest");
    let list = || printed(&auditstream(folder.path(), &["token", "list"]).output().unwrap());
    let line = list();
    let parts: Vec<_> = line.split('\t').collect();
    assert_eq!(parts[1..], ["ingest", "ingest", "last used never", "expires never"]);
    printed(
        &auditstream(folder.path(), &["token", "revoke", parts[0]])
            .output()
            .unwrap(),
    );
    assert_eq!(list(), "");
    refused(
        &auditstream(folder.path(), &["token", "revoke", parts[0]])
            .output()
            .unwrap(),
        "There is no API token",
    );
}

#[test]
fn the_demo_stays_on_loopback() {
    let folder = TempDir::new().unwrap();
    let output = auditstream(folder.path(), &["serve", "--demo"])
        .env("AUDITSTREAM_LISTEN", "0.0.0.0:0")
        .output()
        .unwrap();
    refused(&output, "loopback");
}

#[test]
fn a_set_up_link_is_printed_only_if_there_is_no_user() {
    let folder = TempDir::new().unwrap();
    let first = Server::start(folder.path());
    assert!(
        first
            .printed
            .iter()
            .any(|line| line.contains(&format!("{}/setup?token=", first.address))),
        "{:?}",
        first.printed
    );
    drop(first);
    let mut create = auditstream(
        folder.path(),
        &[
            "user",
            "create",
            "--email",
            "ada@example.com",
            "--role",
            "account_admin",
        ],
    );
    printed(&create.env("AUDITSTREAM_PASSWORD", PASSWORD).output().unwrap());
    assert!(Server::start(folder.path()).printed.is_empty());
}

#[tokio::test]
async fn acknowledged_events_survive_a_kill() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(folder.path());
    // Commands work while a server is running.
    let (ingest, read) = (token(folder.path(), "ingest"), token(folder.path(), "read"));
    let client = reqwest::Client::new();
    let send = |address: &str| {
        let request = client.post(format!("{address}/v1/audit-events")).bearer_auth(&ingest);
        request
            .header("content-type", "application/x-ndjson")
            .body(EVENTS)
            .send()
    };
    assert_eq!(send(&server.address).await.unwrap().status(), 200);
    drop(server);
    let server = Server::start(folder.path());
    let answer: Value = send(&server.address).await.unwrap().json().await.unwrap();
    assert_eq!(
        (answer["accepted"].as_u64(), answer["duplicates"].as_u64()),
        (Some(0), Some(200))
    );
    let page = client
        .get(format!("{}/v1/audit-events?limit=100", server.address))
        .bearer_auth(&read)
        .send()
        .await
        .unwrap();
    assert_eq!(
        page.json::<Value>().await.unwrap()["events"].as_array().unwrap().len(),
        100
    );
}

#[tokio::test]
async fn a_kill_during_a_run_neither_loses_nor_duplicates_events() {
    let folder = TempDir::new().unwrap();
    let store = Store::start_in(folder.path(), "logs").await;
    let server = Server::start(folder.path());
    let (ingest, admin) = (token(folder.path(), "ingest"), token(folder.path(), "admin"));
    let client = reqwest::Client::new();
    let post = async |server: &Server, path: &str, token: &str, kind: &str, body: String| {
        let request = client.post(format!("{}{path}", server.address)).bearer_auth(token);
        let answer = request.header("content-type", kind).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    };
    let kind = "application/json";
    let send = |prefix: &str| EVENTS.replace("\"auditEventId\":\"", &format!("\"auditEventId\":\"{prefix}"));
    post(&server, "/v1/audit-events", &ingest, "application/x-ndjson", send("")).await;
    let connector = connector(&store.endpoint).to_string();
    post(&server, "/v1/connectors", &admin, kind, connector).await;
    // The object is stored, but the server never receives the response.
    store.silent.send(true).unwrap();
    let active = destination("siem", "ACTIVE").to_string();
    post(&server, "/v1/streaming-destinations", &admin, kind, active).await;
    // Not only the object: a request that is cut off earlier leaves damaged metadata.
    until("the store has the object", || store.stored.load(Ordering::SeqCst) > 0).await;
    post(
        &server,
        "/v1/audit-events",
        &ingest,
        "application/x-ndjson",
        send("more-"),
    )
    .await;
    drop(server);
    store.silent.send(false).unwrap();

    let server = Server::start(folder.path());
    until("the rest has been streamed", || {
        store.sequences("logs").len() > EVENTS.lines().count()
    })
    .await;
    let path = "/v1/streaming-destinations/siem/stream-now";
    post(&server, path, &admin, kind, String::new()).await;
    until("everything has been streamed", || {
        store.sequences("logs").len() >= 2 * EVENTS.lines().count()
    })
    .await;
    let sequences = store.sequences("logs");
    let expected: Vec<i64> = (1..).take(sequences.len()).collect();
    assert_eq!(sequences, expected);
}

/// Waits until a condition holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("never came true: {what}");
}

#[test]
fn the_demo_resumes_where_it_stopped() {
    let folder = TempDir::new().unwrap();
    let start = || Server::start_with(&mut auditstream(folder.path(), &["serve", "--demo"]));
    let password = |server: &Server| {
        let line = server
            .printed
            .iter()
            .find(|line| line.contains("password"))
            .unwrap()
            .clone();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let first = start();
    let before = password(&first);
    assert!(folder.path().join("demo/store/audit-logs").is_dir());
    drop(first);
    let second = start();
    assert_eq!(password(&second), before);
}

#[cfg(unix)]
#[test]
fn a_server_that_receives_sigterm_exits_with_success() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::start(folder.path());
    signal(&server, "TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn the_identity_of_the_host_comes_from_its_environment_for_listed_accounts() {
    let folder = TempDir::new().unwrap();
    let admin = token(folder.path(), "admin");
    let client = reqwest::Client::new();
    let inherit = json!({"identifier": "host", "name": "Host", "spec": {"type": "AWS", "endpoint": "http://127.0.0.1:1",
        "credentials": {"type": "INHERIT"}}});
    let start = |accounts: &str| {
        let mut command = auditstream(folder.path(), &["serve"]);
        command
            .env("AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS", accounts)
            .env("AWS_ACCESS_KEY_ID", "AKIAOFTHEHOST")
            .env("AWS_SECRET_ACCESS_KEY", "hush-hush-host");
        Server::start_with(&mut command)
    };
    let post = |address: String, path: &str| client.post(format!("{address}{path}")).bearer_auth(&admin);
    let server = start("tenant-a,tenant-b");
    let refused = post(server.address.clone(), "/v1/connectors")
        .json(&inherit)
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("spec.credentials.type"));
    drop(server);
    let server = start("default");
    let made = post(server.address.clone(), "/v1/connectors")
        .json(&inherit)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let test = post(server.address.clone(), "/v1/connectors/host/test")
        .send()
        .await
        .unwrap();
    let test = test.text().await.unwrap();
    assert!(
        test.contains("AKIAOFTHEHOST") && !test.contains("hush-hush-host"),
        "{test}"
    );
    drop(server);
    // The same in a pod: its token is sent to the STS endpoint in the environment.
    std::fs::write(folder.path().join("token"), "the-pods-token").unwrap();
    let mut command = auditstream(folder.path(), &["serve"]);
    command
        .env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", folder.path().join("token"))
        .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod");
    let server = Server::start_with(&mut command);
    let mut pod = inherit.clone();
    (pod["identifier"], pod["spec"]["credentials"]["type"]) = ("pod".into(), "IRSA".into());
    let made = post(server.address.clone(), "/v1/connectors")
        .json(&pod)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let test = post(server.address.clone(), "/v1/connectors/pod/test")
        .send()
        .await
        .unwrap();
    let test: Value = test.json().await.unwrap();
    assert_eq!(test["steps"][0]["status"], "FAILURE");
    assert!(test["error"]["message"].as_str().unwrap().contains("refused"), "{test}");
    assert!(!test.to_string().contains("the-pods-token"), "{test}");
}

#[test]
fn help_explains_the_variables() {
    let folder = TempDir::new().unwrap();
    let mut child = auditstream(folder.path(), &["serve", "--help"]).spawn().unwrap();
    let mut help = String::new();
    child.stdout.take().unwrap().read_to_string(&mut help).unwrap();
    assert!(child.wait().unwrap().success());
    for variable in [
        "AUDITSTREAM_LISTEN",
        "AUDITSTREAM_PUBLIC_URL",
        "AUDITSTREAM_DATA_DIR",
        "AUDITSTREAM_STREAM_INTERVAL",
        "PL_AUDIT_LOG_STREAMING_ENABLED",
        "AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS",
        "AWS_ENDPOINT_URL_STS",
    ] {
        assert!(help.contains(variable), "{variable}");
    }
}
