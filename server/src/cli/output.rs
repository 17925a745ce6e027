//! The results of commands on standard output.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::fatal::Fatal;

/// Prints a line.
///
/// # Errors
/// If standard output is closed or full.
pub(super) fn print(line: &str) -> Result<(), Fatal> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| Fatal::new(format!("cannot write to standard output: {error}")))
}

/// Prints text that may be long. Returns `false` if its reader has left, as `head` does.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn print_block(text: &str) -> Result<bool, Fatal> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Fatal::new(format!("cannot write to standard output: {error}"))),
    }
}

/// A line on a terminal that shows how far a command is. Where standard error is not a terminal,
/// nothing is shown.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    last: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_shown: io::stderr().is_terminal(),
            last: None,
        }
    }

    /// Replaces the line, a few times a second.
    pub(super) fn show(&mut self, line: impl FnOnce() -> String) {
        const PAUSE: Duration = Duration::from_millis(200);
        if self.is_shown && self.last.is_none_or(|last| last.elapsed() > PAUSE) {
            self.last = Some(Instant::now());
            let _ = write!(io::stderr(), "\r\x1b[K{}", line());
        }
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if self.is_shown && self.last.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

/// Prints a remark on standard error, which may be closed.
pub(super) fn remark(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line about work that continues even if the line cannot be printed.
pub(super) fn note(line: &str) {
    let _ = print(line);
}
