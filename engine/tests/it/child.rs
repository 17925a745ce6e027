//! A separate process with an engine, for tests that kill it: this test program again, with one
//! test selected and its instructions in the environment.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use auditstream_engine::database::{DatabaseUrl, PostgresUrl};
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Actor, Config, Engine};
use auditstream_model::AccountName;

use crate::support::{House, On, config, ingester};

const DATABASE: &str = "AUDITSTREAM_TEST_DATABASE";

/// A process under test. It is killed when dropped.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    /// Starts this program with one test, on the house's database.
    pub fn start(test: &str, house: &House, orders: &[(&str, String)]) -> Self {
        let place = match &house.config.database {
            DatabaseUrl::Sqlite(file) => file.display().to_string(),
            DatabaseUrl::Postgres(_) => house.url().to_owned(),
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--ignored", "--test-threads=1"])
            .env(DATABASE, place)
            .envs(orders.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (send, lines) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Returns its next line; `None` when it has ended or has written nothing for `patience`.
    pub fn line(&self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }

    /// Waits for a line and returns whether it came.
    pub fn says(&self, wanted: &str, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while let Some(line) = self.line(until.saturating_duration_since(Instant::now())) {
            if line == wanted {
                return true;
            }
        }
        false
    }

    /// Sends SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end and returns whether it succeeded.
    pub fn ends_well(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The engine inside such a process.
pub struct Inside {
    pub config: Config,
    pub engine: Engine,
    pub admin: Actor,
    pub ingester: Actor,
}

impl Inside {
    /// Opens the engine; `None` when the test was started by hand with `--ignored`.
    pub async fn open(interval: Duration) -> Option<Self> {
        Self::open_with(|config| config.stream_interval = interval).await
    }

    /// Opens the engine with a changed configuration.
    pub async fn open_with(change: impl FnOnce(&mut Config)) -> Option<Self> {
        let place = std::env::var(DATABASE).ok()?;
        let database = if place.starts_with("postgres") {
            DatabaseUrl::Postgres(PostgresUrl::parse(&place).unwrap())
        } else {
            DatabaseUrl::Sqlite(place.into())
        };
        let mut config = config(database);
        change(&mut config);
        let engine = Engine::open(config.clone()).await.unwrap();
        let admin = Actor::command_line(&engine, &AccountName::default_account())
            .await
            .unwrap();
        let ingester = ingester(&engine, &admin).await;
        Some(Self {
            config,
            engine,
            admin,
            ingester,
        })
    }

    pub async fn send(&self, events: &[serde_json::Value]) {
        let body = serde_json::to_vec(events).unwrap();
        ingest(&self.engine, &self.ingester, BodyFormat::Json, body.into())
            .await
            .unwrap();
    }
}

/// Returns the URL of the database, inside the process.
pub fn database() -> String {
    let place = std::env::var(DATABASE).unwrap();
    if place.starts_with("postgres") {
        place
    } else {
        format!("sqlite://{place}")
    }
}

/// Writes a line to the parent, even when the harness captures output.
pub fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

/// The time limit for work of a second or two. On PostgreSQL a process first waits until the lease
/// of its predecessor has expired.
pub fn patience(on: On) -> Duration {
    match on {
        On::Sqlite => Duration::from_secs(60),
        On::Postgres => Duration::from_secs(90),
    }
}
