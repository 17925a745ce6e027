//! Connectors.

use auditstream_model::{ConnectorInput, ConnectorView, ListQuery, Listing};
use leptos::prelude::*;
use leptos::server_fn::codec::{ByteStream, Json, Streaming};

use super::client::ConsoleClient;
use crate::error::ConsoleError;

/// Returns one page of the connectors.
#[server(client = ConsoleClient, endpoint = "connectors", input = Json, output = Json)]
pub async fn list_connectors(query: ListQuery) -> Result<Listing<ConnectorView>, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::connectors::list(&engine, &actor, &query).await?)
}

/// Returns one connector.
#[server(client = ConsoleClient, endpoint = "connector", input = Json, output = Json)]
pub async fn get_connector(id: String) -> Result<ConnectorView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::connectors::get(&engine, &actor, &id).await?)
}

/// Returns the external id that the trust policy of a cross-account role must require. It belongs
/// to the account and is not a secret.
#[server(client = ConsoleClient, endpoint = "connector/external-id", input = Json, output = Json)]
pub async fn external_id() -> Result<String, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::connectors::external_id(&engine, &actor).await?)
}

/// Creates a connector.
#[server(client = ConsoleClient, endpoint = "connector/create", input = Json, output = Json)]
pub async fn create_connector(connector: ConnectorInput) -> Result<ConnectorView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::connectors::create(&engine, &actor, connector).await?)
}

/// Changes a connector. Omitted secrets keep their values.
#[server(client = ConsoleClient, endpoint = "connector/replace", input = Json, output = Json)]
pub async fn replace_connector(connector: ConnectorInput) -> Result<ConnectorView, ConsoleError> {
    let (engine, actor) = super::caller()?;
    let id = connector.identifier.clone();
    Ok(auditstream_engine::connectors::replace(
        &engine,
        &actor,
        &id,
        connector,
        &auditstream_engine::Precondition::None,
    )
    .await?)
}

/// Deletes a connector that no destination uses.
#[server(client = ConsoleClient, endpoint = "connector/delete", input = Json, output = Json)]
pub async fn delete_connector(id: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::connectors::delete(&engine, &actor, &id, &auditstream_engine::Precondition::None).await?)
}

/// Signs in with a connector without using any bucket. Streams one line of JSON for each
/// [`TestProgress`](auditstream_model::TestProgress) as it happens.
#[server(client = ConsoleClient, endpoint = "connector/test", input = Json, output = Streaming)]
pub async fn test_connector(id: String) -> Result<ByteStream<ConsoleError>, ConsoleError> {
    use futures::StreamExt;
    let (engine, actor) = super::caller()?;
    let progress = auditstream_engine::connectors::watch_test(&engine, &actor, &id).await?;
    let line = |progress| {
        let mut line = serde_json::to_vec(&progress).map_err(auditstream_engine::Error::from)?;
        line.push(b'\n');
        Ok::<_, ConsoleError>(line)
    };
    Ok(ByteStream::new(progress.map(line)))
}
