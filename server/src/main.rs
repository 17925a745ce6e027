//! The `auditstream` binary: runs one command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use auditstream_server::cli::{
    account, backup, destinations, doctor, events, key, migrate, restore, search_index, serve, token, user, verify,
};
use auditstream_server::configuration::environment::drop_blank_variables;
use auditstream_server::configuration::{Command, CommandLine};
use auditstream_server::fatal::Fatal;
use auditstream_server::log::Log;
use clap::Parser;
use rustix::fs::Mode;
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end of the program waits for threads that block.
const THREADS_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // If it fails, the command line refuses blank variables by name.
    let _ = drop_blank_variables();
    let line = CommandLine::parse();
    // Whatever creates a file: only its owner can access it.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let log = Log::start(line.settings.log_format);
    let outcome = run(line);
    if let Err(error) = &outcome {
        log.fatal(&error.to_string());
    }
    log.flush();
    outcome.map_or_else(|error| error.exit_code(), |()| ExitCode::SUCCESS)
}

fn run(line: CommandLine) -> Result<(), Fatal> {
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::new(format!("cannot start threads: {error}")))?;
    let command = run_command(line);
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(command)));
    runtime.shutdown_timeout(THREADS_TIMEOUT);
    outcome.unwrap_or_else(|_| Err(Fatal::internal()))
}

async fn run_command(line: CommandLine) -> Result<(), Fatal> {
    match line.command {
        Command::Serve(options) => serve::run(line.settings, options).await,
        Command::Doctor => doctor::run(&line.settings).await,
        Command::Account(command) => account::run(&line.settings, command).await,
        Command::SearchIndex(command) => search_index::run(&line.settings, command).await,
        Command::Token(command) => token::run(&line.settings, command).await,
        Command::User(command) => user::run(&line.settings, command).await,
        Command::Destinations(command) => destinations::run(&line.settings, command).await,
        Command::Events(command) => events::run(&line.settings, command).await,
        Command::Key(command) => key::run(&line.settings, command).await,
        Command::Backup(options) => backup::run(&line.settings, options).await,
        Command::Migrate(options) => migrate::run(&line.settings, options).await,
        Command::Restore(options) => restore::run(&line.settings, options).await,
        Command::Verify(options) => verify::run(options).await,
    }
}
