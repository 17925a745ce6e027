//! `auditstream events …`: reads the trail.

mod export;
mod list;
mod table;

use auditstream_engine::trail::{self, EventRef};
use auditstream_engine::{Actor, Engine};
use auditstream_model::Code;

use super::output::print;
use crate::configuration::{EventsCommand, Get, Settings};
use crate::fatal::Fatal;

/// The exit code of `get` if there is no such event.
const NO_SUCH_EVENT: u8 = 3;

/// Runs the command.
pub async fn run(settings: &Settings, command: EventsCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let done = match command {
        EventsCommand::List(options) => list::run(&engine, options).await,
        EventsCommand::Get(options) => get(&engine, &options).await,
        EventsCommand::Export(options) => export::run(&engine, options).await,
    };
    engine.close().await;
    done
}

async fn get(engine: &Engine, options: &Get) -> Result<(), Fatal> {
    let actor = Actor::command_line(engine, &options.account).await?;
    let wanted = EventRef::parse(&options.event, options.by)?;
    match trail::find(engine, &actor, &wanted).await {
        Ok(event) => print(&event.json),
        Err(error) if error.code() == Code::NotFound => Err(Fatal::from(error).with_exit_code(NO_SUCH_EVENT)),
        Err(error) => Err(error.into()),
    }
}
