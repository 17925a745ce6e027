//! The results of commands on standard output.

use std::io::{self, Write as _};

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

/// Prints a line about work that continues even if the line cannot be printed.
pub(super) fn note(line: &str) {
    let _ = print(line);
}
