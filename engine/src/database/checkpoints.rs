//! Moves SQLite's write-ahead log into the file, off the committing path, and bounds its size.
//!
//! Most checkpoints wait for neither reads nor writes. The log begins anew only at a moment when
//! all of it has been moved and no statement reads from it, and under a steady load that moment may
//! never come. So a log beyond its limit gets a checkpoint during which new reads wait.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use sqlx_sqlite::SqliteConnection;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::pool::Pool;

const INTERVAL: Duration = Duration::from_secs(1);
/// How long a checkpoint that begins the log anew waits for reads, and then makes the writer wait.
const PATIENCE: Duration = Duration::from_millis(100);
/// The longest pause between two such attempts, while something reads from the log all the time.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// How many times its limit the log can be before that is logged.
const WARN_FACTOR: u64 = 8;
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// A task that makes checkpoints until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Checkpoints {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpoints {
    pub(super) async fn start(url: &str, file: &Path, readers: Pool, limit: u64) -> Result<Self, sqlx::Error> {
        let mut connection = SqliteConnection::connect(url).await?;
        let patience = PATIENCE.as_millis();
        connection
            .execute(AssertSqlSafe(format!(
                "PRAGMA busy_timeout = {patience}; PRAGMA synchronous = FULL"
            )))
            .await?;
        let page_size: i64 = sqlx::query_scalar("PRAGMA page_size")
            .fetch_one(&mut connection)
            .await?;
        let checkpointer = Checkpointer {
            connection,
            log: log_of(file),
            page_size: page_size.unsigned_abs(),
            readers,
            limit,
            pause: INTERVAL,
            next: Instant::now(),
            written: None,
            warned: None,
        };
        let (stop, stopped) = watch::channel(false);
        Ok(Self {
            stop,
            task: Mutex::new(Some(tokio::spawn(checkpointer.run(stopped)))),
        })
    }

    pub(super) async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            // A task that panicked has closed its connection.
            let _ = task.await;
        }
    }
}

fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

struct Checkpointer {
    connection: SqliteConnection,
    log: PathBuf,
    /// Bytes.
    page_size: u64,
    readers: Pool,
    /// The size of the log, in bytes, beyond which it begins anew even if reads have to wait.
    limit: u64,
    /// The pause after the next attempt to begin the log anew that fails.
    pause: Duration,
    /// When the next attempt may be made.
    next: Instant,
    /// When the log had last been written to before the last checkpoint.
    written: Option<SystemTime>,
    warned: Option<Instant>,
}

impl Checkpointer {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                // Changes when the database is closed, and fails when it was dropped.
                _ = stopped.changed() => break,
                () = sleep(INTERVAL) => {}
            }
            match AssertUnwindSafe(self.tick()).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(%error, "the write-ahead log of the database could not be moved into its file");
                }
                Err(_) => tracing::error!("a checkpoint of the database panicked; retrying in a second"),
            }
        }
        // An unclosed connection leaves nothing behind.
        let _ = self.connection.close().await;
    }

    async fn tick(&mut self) -> Result<(), sqlx::Error> {
        let written = std::fs::metadata(&self.log).and_then(|log| log.modified()).ok();
        if written.is_none() || written == self.written {
            return Ok(());
        }
        let log = self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)").await?;
        if log < self.limit {
            self.written = written;
            return Ok(());
        }
        if Instant::now() >= self.next && self.restart().await? {
            self.pause = INTERVAL;
            return Ok(());
        }
        if log > self.limit.saturating_mul(WARN_FACTOR) {
            self.warn(log);
        }
        Ok(())
    }

    /// Lets the log begin anew with the next commit, if no statement reads from it for a moment.
    async fn restart(&mut self) -> Result<bool, sqlx::Error> {
        let gate = self.readers.pause(PATIENCE).await;
        let is_restarted = gate.is_some() && self.checkpoint("PRAGMA wal_checkpoint(RESTART)").await? == 0;
        if !is_restarted {
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.next = Instant::now() + self.pause;
        }
        Ok(is_restarted)
    }

    /// Returns the size of the log, in bytes: 0 if it begins anew with the next commit.
    async fn checkpoint(&mut self, statement: &'static str) -> Result<u64, sqlx::Error> {
        let (is_busy, frames, _moved): (i64, i64, i64) =
            sqlx::query_as(statement).fetch_one(&mut self.connection).await?;
        let is_restarted = statement.contains("RESTART") && is_busy == 0;
        Ok(if is_restarted {
            0
        } else {
            frames.max(0).unsigned_abs() * self.page_size
        })
    }

    fn warn(&mut self, log: u64) {
        if self.warned.is_none_or(|warned| warned.elapsed() > WARN_INTERVAL) {
            self.warned = Some(Instant::now());
            tracing::warn!(
                mebibytes = log >> 20,
                "the write-ahead log of the database grows, because something reads from the database without a pause"
            );
        }
    }
}
