//! `auditstream destinations …`

use auditstream_engine::{Actor, Engine, Precondition, Version, destinations};
use auditstream_model::limits::MAX_PAGE_ROWS;
use auditstream_model::{AccountName, Destination, DestinationInput, ListQuery, Order, Sort};

use super::output::print;
use crate::configuration::{DestinationsCommand, SetDestination, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, command: DestinationsCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let done = match command {
        DestinationsCommand::List { account } => list(&engine, &account).await,
        DestinationsCommand::Set(options) => set(&engine, options).await,
    };
    engine.close().await;
    done
}

async fn list(engine: &Engine, account: &AccountName) -> Result<(), Fatal> {
    let actor = Actor::command_line(engine, account).await?;
    let mut query = ListQuery {
        limit: MAX_PAGE_ROWS,
        sort: Sort::Identifier,
        order: Order::Ascending,
        ..ListQuery::default()
    };
    loop {
        let page = destinations::list(engine, &actor, &query).await?;
        if page.items.is_empty() {
            return Ok(());
        }
        for view in page.items {
            print(&line(&view.streaming_destination))?;
        }
        query.page += 1;
    }
}

/// Changes what was read: a change by another user in between is not undone.
async fn set(engine: &Engine, options: SetDestination) -> Result<(), Fatal> {
    let actor = Actor::command_line(engine, &options.account).await?;
    let view = destinations::get(engine, &actor, &options.id).await?;
    let condition = Precondition::OneOf(vec![Version::of(&view)?.as_str().to_owned()]);
    let destination = view.streaming_destination;
    let input = DestinationInput {
        identifier: destination.identifier.into(),
        name: destination.name.into(),
        description: destination.description.into(),
        tags: destination.tags.into(),
        status: None,
        connector_ref: destination.connector_ref.into(),
        spec: options.spec(destination.spec.bucket.as_str()),
    };
    let changed = destinations::replace(engine, &actor, &options.id, input, &condition).await?;
    print(&line(&changed.streaming_destination))
}

fn line(destination: &Destination) -> String {
    let spec = &destination.spec;
    let interval = spec
        .interval_seconds
        .map_or_else(|| "server".to_owned(), |seconds| format!("{seconds}s"));
    let level = spec.level().map_or_else(String::new, |level| format!(" {level}"));
    [
        destination.identifier.as_str().to_owned(),
        destination.name.as_str().to_owned(),
        destination.status.as_str().to_owned(),
        format!("batch events {}", spec.batch_events),
        format!("batch bytes {}", spec.batch_bytes),
        format!("interval {interval}"),
        format!("compression {}{level}", spec.compression.as_str()),
    ]
    .join("\t")
}
