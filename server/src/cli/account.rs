//! `auditstream account …`

use auditstream_engine::{Engine, access};

use super::output::print;
use crate::configuration::{AccountCommand, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, command: AccountCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let AccountCommand::Create { name } = command;
    access::create_account(&engine, &name).await?;
    print(&format!("created account {}", name.as_str()))?;
    engine.close().await;
    Ok(())
}
