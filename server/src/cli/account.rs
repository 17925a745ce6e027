//! `auditstream account …`
#![expect(clippy::print_stdout, reason = "commands print their result")]

use auditstream_engine::{Engine, access};

use crate::configuration::{AccountCommand, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, command: AccountCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let AccountCommand::Create { name } = command;
    access::create_account(&engine, &name).await?;
    println!("created account {}", name.as_str());
    engine.close().await;
    Ok(())
}
