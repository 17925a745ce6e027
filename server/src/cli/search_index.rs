//! `auditstream search-index …`

use auditstream_engine::{Actor, Engine, trail};

use super::output::print;
use crate::configuration::{SearchIndexCommand, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, command: SearchIndexCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    match command {
        SearchIndexCommand::Status { account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            let state = trail::search_index(&engine, &actor).await?;
            print(&format!(
                "{} events are indexed, in {} parts; {} events wait",
                state.indexed_events, state.parts, state.waiting_events
            ))?;
        }
        SearchIndexCommand::Rebuild { account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            trail::rebuild_search_index(&engine, &actor).await?;
            print("dropped the search index; the server builds it again")?;
        }
    }
    engine.close().await;
    Ok(())
}
