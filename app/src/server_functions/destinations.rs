//! Streaming destinations.

use auditstream_model::{
    AggregateItem, Batch, BucketCheck, Cards, DestinationInput, DestinationView, ListQuery, Listing, Sequence, Status,
};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use super::client::ConsoleClient;
use crate::error::ConsoleError;

/// Returns one page of the destinations with their connectors and streaming details.
#[server(client = ConsoleClient, endpoint = "destinations", input = Json, output = Json)]
pub async fn list_destinations(query: ListQuery) -> Result<Listing<AggregateItem>, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::aggregate(&engine, &actor, &query).await?)
}

/// Returns the figures above the table.
#[server(client = ConsoleClient, endpoint = "destinations/cards", input = Json, output = Json)]
pub async fn destination_cards() -> Result<Cards, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::cards(&engine, &actor).await?)
}

/// Returns one destination with its connector and streaming details.
#[server(client = ConsoleClient, endpoint = "destination", input = Json, output = Json)]
pub async fn get_destination(id: String) -> Result<AggregateItem, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::overview(&engine, &actor, &id).await?)
}

/// Creates a destination.
#[server(client = ConsoleClient, endpoint = "destination/create", input = Json, output = Json)]
pub async fn create_destination(destination: DestinationInput) -> Result<DestinationView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::create(&engine, &actor, destination).await?)
}

/// Changes a destination.
#[server(client = ConsoleClient, endpoint = "destination/replace", input = Json, output = Json)]
pub async fn replace_destination(destination: DestinationInput) -> Result<DestinationView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    let id = destination.identifier.clone();
    Ok(auditstream_engine::destinations::replace(
        &engine,
        &actor,
        &id,
        destination,
        &auditstream_engine::Precondition::None,
    )
    .await?)
}

/// Activates or pauses a destination.
#[server(client = ConsoleClient, endpoint = "destination/status", input = Json, output = Json)]
pub async fn set_destination_status(id: String, status: Status) -> Result<DestinationView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::set_status(&engine, &actor, &id, status).await?)
}

/// Deletes an inactive destination.
#[server(client = ConsoleClient, endpoint = "destination/delete", input = Json, output = Json)]
pub async fn delete_destination(id: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::delete(&engine, &actor, &id, &auditstream_engine::Precondition::None).await?)
}

/// Returns whether an id is still available.
#[server(client = ConsoleClient, endpoint = "destination/unique", input = Json, output = Json)]
pub async fn destination_id_is_unique(id: String) -> Result<bool, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::is_unique(&engine, &actor, &id).await?)
}

/// Returns one page of a destination's objects, newest first.
#[server(client = ConsoleClient, endpoint = "destination/batches", input = Json, output = Json)]
pub async fn list_batches(id: String, query: ListQuery) -> Result<Listing<Batch>, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::batches(&engine, &actor, &id, &query).await?)
}

/// Starts a run now.
#[server(client = ConsoleClient, endpoint = "destination/stream-now", input = Json, output = Json)]
pub async fn stream_now(id: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::stream_now(&engine, &actor, &id).await?)
}

/// Writes, reads and deletes a probe object in a destination's bucket.
#[server(client = ConsoleClient, endpoint = "destination/check-bucket", input = Json, output = Json)]
pub async fn check_bucket(id: String) -> Result<BucketCheck, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::check_bucket(&engine, &actor, &id).await?)
}

/// Gives a blocked object a new key.
#[server(client = ConsoleClient, endpoint = "destination/rename-batch", input = Json, output = Json)]
pub async fn rename_batch(id: String, number: i64) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::rename_batch(&engine, &actor, &id, number).await?)
}

/// Moves the cursor of an inactive destination: forward skips events, back sends them again.
#[server(client = ConsoleClient, endpoint = "destination/cursor", input = Json, output = Json)]
pub async fn move_cursor(id: String, sequence: Sequence) -> Result<DestinationView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::destinations::move_cursor(
        &engine,
        &actor,
        &id,
        sequence,
        &auditstream_engine::Precondition::None,
    )
    .await?)
}
