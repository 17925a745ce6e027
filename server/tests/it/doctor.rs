//! `auditstream doctor`: a line per check with what to do, and an exit code.

use std::process::{Command, Output};

use auditstream_testkit::postgres;
use auditstream_testkit::s3::{SECRET, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::app::{KEY, connector};
use crate::process::{Server, auditstream};

const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "//////////////////////////////////////////8=";

/// An installation on one of the databases.
struct House {
    folder: TempDir,
    postgres: Option<String>,
}

impl House {
    fn sqlite() -> Self {
        let (folder, postgres) = (TempDir::new().unwrap(), None);
        Self { folder, postgres }
    }

    fn postgres() -> Self {
        let (folder, postgres) = (TempDir::new().unwrap(), Some(postgres::database()));
        Self { folder, postgres }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = auditstream(self.folder.path(), arguments);
        if let Some(url) = &self.postgres {
            command.env("AUDITSTREAM_DATABASE_URL", url);
        }
        command
    }

    fn doctor(&self) -> Output {
        self.command(&["doctor"]).output().unwrap()
    }

    fn admin(&self) -> String {
        let arguments = ["token", "create", "--name", "admin", "--scope", "admin"];
        crate::process::printed(&self.command(&arguments).output().unwrap())
    }
}

/// Checks the exit code, and that no secret is printed. Returns the lines.
fn lines(output: &Output, code: i32) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}\n{errors}");
    for secret in [SECRET, KEY, WEBHOOK_SECRET, "in-the-path"] {
        assert!(!text.contains(secret) && !errors.contains(secret), "{text}\n{errors}");
    }
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn has(lines: &[String], start: &str, words: &str) {
    let found = lines.iter().any(|line| line.starts_with(start) && line.contains(words));
    assert!(found, "no “{start}…{words}” in {lines:#?}");
}

async fn put(server: &Server, admin: &str, path: &str, body: &Value) {
    let client = reqwest::Client::new();
    let url = format!("{}{path}", server.address);
    let request = if path == "/v1/webhook" {
        client.put(url)
    } else {
        client.post(url)
    };
    let answer = request.bearer_auth(admin).json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
}

/// A server whose clock shows the year 2015 and that refuses everything.
async fn slow_clock() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && socket.read_buf(&mut head).await.unwrap() > 0 {}
            let answer = "HTTP/1.1 403 Forbidden\r\ndate: Tue, 24 Nov 2015 08:00:00 GMT\r\nconnection: close\r\n\
                          content-length: 0\r\n\r\n";
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    endpoint
}

async fn an_installation_is_checked_while_its_server_runs(house: House) {
    let database = if house.postgres.is_some() {
        "PostgreSQL"
    } else {
        "SQLite"
    };
    let server = Server::start_with(&mut house.command(&["serve"]));
    let good = lines(&house.doctor(), 0);
    has(&good, "ok", &format!("database: {database}"));
    has(&good, "ok", "tables: up to date");
    has(&good, "ok", "master key: ");
    if house.postgres.is_some() {
        has(&good, "ok", "clock, against the database: it agrees");
    } else {
        has(&good, "", "disk: ");
    }
    let store = Store::start_in(house.folder.path(), "logs").await;
    let admin = house.admin();
    put(&server, &admin, "/v1/connectors", &connector(&store.endpoint)).await;
    let webhook = json!({"url": format!("{}/in-the-path", store.endpoint), "secret": WEBHOOK_SECRET});
    put(&server, &admin, "/v1/webhook", &webhook).await;
    let good = lines(&house.doctor(), 0);
    has(&good, "ok", "connector default/aws: ");
    has(&good, "ok", "webhook of default: ");

    for (name, endpoint) in [("gone", "http://127.0.0.1:1".to_owned()), ("slow", slow_clock().await)] {
        let mut broken = connector(&endpoint);
        broken["identifier"] = name.into();
        put(&server, &admin, "/v1/connectors", &broken).await;
    }
    let webhook = json!({"url": "http://127.0.0.1:1/in-the-path", "secret": WEBHOOK_SECRET});
    put(&server, &admin, "/v1/webhook", &webhook).await;
    let bad = lines(&house.doctor(), 1);
    has(&bad, "ok", "connector default/aws: ");
    has(&bad, "FAIL", "connector default/gone: ");
    has(
        &bad,
        "ok",
        "connector default/slow: Note: the store denies the list of buckets",
    );
    has(&bad, "FAIL", "ahead of it");
    has(&bad, "FAIL", "webhook of default: ");

    let other_key = house
        .command(&["doctor"])
        .env("AUDITSTREAM_MASTER_KEY", OTHER_KEY)
        .output();
    has(&lines(&other_key.unwrap(), 1), "FAIL", "master key: ");
    let healthy = reqwest::get(format!("{}/readyz", server.address)).await.unwrap();
    assert_eq!(healthy.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_with_sqlite_is_checked_while_its_server_runs() {
    an_installation_is_checked_while_its_server_runs(House::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_with_postgresql_is_checked_while_its_server_runs() {
    an_installation_is_checked_while_its_server_runs(House::postgres()).await;
}

#[test]
fn what_does_not_exist_is_reported_and_not_created() {
    let house = House::sqlite();
    has(&lines(&house.doctor(), 1), "FAIL", "database: there is no file");
    assert_eq!(std::fs::read_dir(house.folder.path()).unwrap().count(), 0);
    drop(Server::start_with(&mut house.command(&["serve"])));
    let no_key = house.command(&["doctor"]).env_remove("AUDITSTREAM_MASTER_KEY").output();
    has(&lines(&no_key.unwrap(), 1), "FAIL", "master.key");
    assert!(!house.folder.path().join("master.key").exists());

    let mut postgres = House::postgres();
    has(&lines(&postgres.doctor(), 1), "FAIL", "tables: there are none yet");
    postgres.postgres = Some("postgres://audit:hush@127.0.0.1:1/audit".into());
    let unreachable = lines(&postgres.doctor(), 1);
    has(
        &unreachable,
        "FAIL",
        "database: postgres://127.0.0.1:1/audit cannot be used",
    );
    assert!(!unreachable.concat().contains("hush"));
}

#[test]
fn a_file_that_others_can_read_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;

    let house = House::sqlite();
    drop(Server::start_with(&mut house.command(&["serve"])));
    let file = house.folder.path().join("auditstream.db");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    has(&lines(&house.doctor(), 0), "warn", "auditstream.db");
}
