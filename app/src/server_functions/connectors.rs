//! Connectors.

use auditstream_model::{ConnectorInput, ConnectorView, ListQuery, Listing};
use leptos::prelude::*;
use leptos::server_fn::codec::{ByteStream, Json, Streaming};

use crate::error::ConsoleError;

/// A page of the connectors.
#[server(endpoint = "connectors", input = Json, output = Json)]
pub async fn list_connectors(query: ListQuery) -> Result<Listing<ConnectorView>, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::connectors::list(&engine, &actor, &query).await?)
}

/// One connector.
#[server(endpoint = "connector", input = Json, output = Json)]
pub async fn get_connector(id: String) -> Result<ConnectorView, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::connectors::get(&engine, &actor, &id).await?)
}

/// What the trust policy of a cross-account role must ask for: the account's own, and no secret.
#[server(endpoint = "connector/external-id", input = Json, output = Json)]
pub async fn external_id() -> Result<String, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::connectors::external_id(&engine, &actor).await?)
}

/// Makes a connector.
#[server(endpoint = "connector/create", input = Json, output = Json)]
pub async fn create_connector(connector: ConnectorInput) -> Result<ConnectorView, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::connectors::create(&engine, &actor, connector).await?)
}

/// Changes a connector; a secret left out stays.
#[server(endpoint = "connector/replace", input = Json, output = Json)]
pub async fn replace_connector(connector: ConnectorInput) -> Result<ConnectorView, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    let id = connector.identifier.clone();
    Ok(auditstream_engine::connectors::replace(&engine, &actor, &id, connector).await?)
}

/// Deletes a connector that nothing uses.
#[server(endpoint = "connector/delete", input = Json, output = Json)]
pub async fn delete_connector(id: String) -> Result<(), ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    Ok(auditstream_engine::connectors::delete(&engine, &actor, &id).await?)
}

/// Signs in with a connector, without touching any bucket. Answers, as it happens, a line of JSON for each
/// [`TestProgress`](auditstream_model::TestProgress).
#[server(endpoint = "connector/test", input = Json, output = Streaming)]
pub async fn test_connector(id: String) -> Result<ByteStream<ConsoleError>, ConsoleError> {
    use futures::StreamExt;
    let (engine, actor) = super::who_asks()?;
    let progress = auditstream_engine::connectors::watch_test(&engine, &actor, &id).await?;
    let line = |progress| {
        let mut line = serde_json::to_vec(&progress).map_err(auditstream_engine::Error::from)?;
        line.push(b'\n');
        Ok::<_, ConsoleError>(line)
    };
    Ok(ByteStream::new(progress.map(line)))
}
