//! The `auditstream` binary: runs one command.

use std::process::ExitCode;

use auditstream_server::cli::{account, backup, key, restore, serve, token, user};
use auditstream_server::configuration::{Command, CommandLine};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match line.command {
        Command::Serve(options) => serve::run(line.settings, options).await,
        Command::Account(command) => account::run(&line.settings, command).await,
        Command::Token(command) => token::run(&line.settings, command).await,
        Command::User(command) => user::run(&line.settings, command).await,
        Command::Key(command) => key::run(&line.settings, command).await,
        Command::Backup(options) => backup::run(&line.settings, options).await,
        Command::Restore(options) => restore::run(&line.settings, options).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "one line with the reason why the program ends")]
            {
                eprintln!("auditstream: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
