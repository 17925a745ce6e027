//! A server under measurement: the built binary as a process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use auditstream_testkit::postgres;
use reqwest::{Client, Method};
use serde_json::Value;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The unit of times in `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;

/// The kind of database of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum On {
    Sqlite,
    Postgres,
}

impl On {
    pub const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A server with a database. The process writes files only in `folder`.
pub struct Server {
    child: Child,
    pub on: On,
    pub folder: PathBuf,
    pub database: String,
    address: String,
    client: Client,
    pub ingest: String,
    admin: String,
}

impl Server {
    /// Starts a server on a new database.
    pub fn start(on: On, folder: &Path, options: &[&str]) -> Self {
        let database = match on {
            On::Sqlite => format!("sqlite://{}", folder.join("auditstream.db").display()),
            On::Postgres => postgres::database(),
        };
        Self::spawn(on, folder, database, options)
    }

    /// Starts a server on a database that may exist.
    pub fn open(on: On, folder: &Path, database: String) -> Self {
        Self::spawn(on, folder, database, &[])
    }

    fn spawn(on: On, folder: &Path, database: String, options: &[&str]) -> Self {
        let (child, address) = spawn(folder, &database, options);
        let token = |scope: &str| {
            let name = format!("{scope} {}", rand::random::<u32>());
            let arguments = ["token", "create", "--name", &name, "--scope", scope];
            let output = command(folder, &database, &arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        Self {
            child,
            on,
            folder: folder.to_owned(),
            address,
            client: Client::new(),
            ingest: token("ingest"),
            admin: token("admin"),
            database,
        }
    }

    /// Processor time used so far, in seconds.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }

    /// The memory that the process has now, in MiB.
    pub fn memory(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The largest memory since [`forget_peak`](Self::forget_peak), in MiB.
    pub fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    fn status(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Sends events, which must be accepted.
    pub async fn send(&self, lines: String) {
        let url = format!("{}/v1/audit-events", self.address);
        let request = self.client.post(url).bearer_auth(&self.ingest).body(lines);
        let request = request.header("content-type", "application/x-ndjson");
        let response = request.send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success(), "{status}: {body}");
    }

    /// Calls the API as an admin.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}{path}", self.address);
        let mut request = self.client.request(method, url).bearer_auth(&self.admin);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// A search of the trail: its page and its time.
    pub async fn search(&self, query: &str) -> (Value, Duration) {
        let start = Instant::now();
        let path = format!("/v1/audit-events?{query}");
        let page = self.call(Method::GET, &path, None).await;
        (page, start.elapsed())
    }

    /// A search that may be refused because others are running.
    pub async fn try_search(&self, query: &str) {
        let url = format!("{}/v1/audit-events?{query}", self.address);
        let response = self.client.get(url).bearer_auth(&self.admin).send().await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert!(status.is_success() || status == 503, "{status}: {body}");
        if status == 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The number of events that the search index lacks.
    pub async fn unindexed(&self) -> f64 {
        let index = self.call(Method::GET, "/v1/search-index", None).await;
        index["waiting_events"].as_f64().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(folder: &Path, database: &str, arguments: &[&str]) -> Command {
    let binary = std::env::var_os("AUDITSTREAM_BINARY");
    let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_auditstream").into()));
    command.args(arguments).env_clear().current_dir(folder);
    command
        .env("AUDITSTREAM_DATA_DIR", folder)
        .env("AUDITSTREAM_DATABASE_URL", database)
        .env("AUDITSTREAM_LISTEN", "127.0.0.1:0")
        .env("AUDITSTREAM_MASTER_KEY", KEY)
        .stdin(Stdio::null());
    command
}

fn spawn(folder: &Path, database: &str, options: &[&str]) -> (Child, String) {
    let arguments = [&["serve"], options].concat();
    let log = std::fs::File::create(folder.join("server.log")).unwrap();
    let mut child = command(folder, database, &arguments)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.map_while(Result::ok).find_map(|line| {
        let address = line.strip_prefix("listening on ")?;
        Some(address.to_owned())
    });
    let log = || std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let address = address.unwrap_or_else(|| panic!("the server ended before it was ready: {}", log()));
    (child, address)
}
