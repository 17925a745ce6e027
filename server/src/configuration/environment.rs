//! Variables that are set but empty: compose, Helm and systemd files pass `VAR=` for settings
//! without a value.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Starts this program again, in the same process, without the variables that are empty or blank:
/// they count as not set, for the command line and for the libraries that read variables of their
/// own (`AWS_…`, `HTTPS_PROXY`, `SSL_CERT_FILE`, `RUST_LOG`). Returns if there are none.
///
/// # Errors
/// If the program cannot be started again. A blank variable is then refused where it is parsed.
pub fn drop_blank_variables() -> io::Result<()> {
    let blank: Vec<_> = env::vars_os()
        .filter(|(_, value)| is_blank(value))
        .map(|(name, _)| name)
        .collect();
    if blank.is_empty() {
        return Ok(());
    }
    // A program can change its own variables only before it has threads, which nothing here proves.
    let mut arguments = env::args_os();
    let mut again = Command::new(env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments);
    for name in blank {
        again.env_remove(name);
    }
    Err(again.exec())
}

fn is_blank(value: &OsStr) -> bool {
    value.as_encoded_bytes().iter().all(u8::is_ascii_whitespace)
}
