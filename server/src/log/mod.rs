//! The server's log: lines on standard error that neither stop nor delay the server.
//!
//! A line is put into a bounded queue, and a thread writes it. When standard error is closed, full
//! or slow, lines are lost and counted, and the next line that can be written is followed by their
//! number.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use tracing::Level;
use tracing_subscriber::EnvFilter;

use queue::Queue;

/// Bytes of lines that wait to be written; beyond them lines are lost.
const CAPACITY: usize = 4 << 20;
/// How long the end of the program waits for its last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Lines that were lost, of this process.
static LOST_LINES: AtomicU64 = AtomicU64::new(0);
/// Panics of this process.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// The log of this process.
#[derive(Debug)]
pub struct Log {
    queue: Arc<Queue>,
    format: LogFormat,
}

impl Log {
    /// Starts to log to standard error: what `RUST_LOG` selects, `info` by default, and panics.
    #[must_use]
    pub fn start(format: LogFormat) -> Self {
        let queue = Arc::new(Queue::new(CAPACITY, &LOST_LINES));
        let writer = Arc::clone(&queue);
        let write_lines = move || writer.write_lines(standard_error(), |lost| lost_notice(format, lost));
        // Without the thread, lines are lost once the queue is full.
        let _ = Builder::new().name("log".to_owned()).spawn(write_lines);
        subscribe(format, &queue);
        std::panic::set_hook(Box::new(log_panic));
        Self { queue, format }
    }

    /// Writes the reason why the program ends.
    pub fn fatal(&self, reason: &str) {
        self.queue.push(match self.format {
            LogFormat::Text => format!("auditstream: {reason}\n"),
            LogFormat::Json => json_line(Level::ERROR, reason),
        });
    }

    /// Waits for the lines so far to be written, but not for long.
    pub fn flush(&self) {
        self.queue.flush(FLUSH_TIMEOUT);
    }
}

fn subscribe(format: LogFormat, queue: &Arc<Queue>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = Arc::clone(queue);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.line_writer())
        .with_ansi(io::stderr().is_terminal())
        // It would write to standard error itself, and panic if that is closed.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .init(),
    }
}

/// Standard error without the lock of [`io::stderr`], which a slow write would hold for long.
fn standard_error() -> Box<dyn Write + Send> {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stderr()),
    }
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let message = panic.payload_as_str().unwrap_or("without a message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(place, %backtrace, "panicked: {message}");
    } else {
        tracing::error!(place, "panicked: {message}");
    }
}

fn lost_notice(format: LogFormat, lost: u64) -> String {
    let notice = format!("lost {lost} lines of the log, because standard error was closed, full or slow");
    match format {
        LogFormat::Text => format!("{:.6}  WARN {}: {notice}\n", Timestamp::now(), module_path!()),
        LogFormat::Json => json_line(Level::WARN, &notice),
    }
}

/// A line in the form of the subscriber's.
fn json_line(level: Level, message: &str) -> String {
    let line = serde_json::json!({
        "timestamp": format!("{:.6}", Timestamp::now()),
        "level": level.as_str(),
        "message": message,
        "target": module_path!(),
    });
    format!("{line}\n")
}

/// The counters of the log and of panics, in the Prometheus text format.
#[must_use]
pub fn metrics() -> String {
    let counter = |name: &str, help: &str, value: &AtomicU64| {
        let value = value.load(Ordering::Relaxed);
        format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n\n")
    };
    counter(
        "auditstream_log_lines_lost_total",
        "Lines of the log that could not be written",
        &LOST_LINES,
    ) + &counter(
        "auditstream_panics_total",
        "Panics, which are mistakes in Auditstream",
        &PANICS,
    )
}
