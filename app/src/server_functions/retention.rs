//! How long events are retained, and the clock by which they are removed.

use auditstream_model::{ClockConfirmation, ClockStatus, RemovalConfirmation, RetentionInput, RetentionView};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use super::client::ConsoleClient;
use crate::error::ConsoleError;

/// Returns how long events are retained.
#[server(client = ConsoleClient, endpoint = "retention", input = Json, output = Json)]
pub async fn get_retention() -> Result<RetentionView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::retention::get(&engine, &actor).await?)
}

/// Sets how long events are retained.
#[server(client = ConsoleClient, endpoint = "retention/set", input = Json, output = Json)]
pub async fn set_retention(retention: RetentionInput) -> Result<RetentionView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::retention::put(&engine, &actor, retention, &auditstream_engine::Precondition::None).await?)
}

/// Confirms a large removal.
#[server(client = ConsoleClient, endpoint = "retention/confirm", input = Json, output = Json)]
pub async fn confirm_removal(removal: RemovalConfirmation) -> Result<RetentionView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::retention::confirm_removal(&engine, &actor, removal).await?)
}

/// Returns whether the clock of the server can be trusted.
#[server(client = ConsoleClient, endpoint = "clock", input = Json, output = Json)]
pub async fn get_clock() -> Result<ClockStatus, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::clock::status(&engine, &actor).await?)
}

/// Confirms that the clock of the server is right.
#[server(client = ConsoleClient, endpoint = "clock/confirm", input = Json, output = Json)]
pub async fn confirm_clock(clock: ClockConfirmation) -> Result<ClockStatus, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::clock::confirm(&engine, &actor, clock).await?)
}
