//! One connector, or a page of them.

use auditstream_model::{ConnectorView, ListQuery, Listing, Permission};

use super::rows::{account, all, read_view, require};
use crate::error::Result;
use crate::paginate;
use crate::{Actor, Engine};

/// Returns a page of the connectors of the actor's account.
pub async fn list(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<ConnectorView>> {
    actor.require(Permission::ViewConnector)?;
    let query = query.clone().validated()?;
    let rows = all(engine.database().read(), actor.account_id()).await?;
    let page = paginate::page(rows, &query);
    let mut items = Vec::with_capacity(page.items.len());
    for row in &page.items {
        items.push(read_view(engine.database(), actor.account_id(), row).await?);
    }
    Ok(page.with_items(items))
}

/// Returns the account's external id, which the trust policy of a cross-account role must require
/// (`sts:ExternalId`). The server generates it.
pub async fn external_id(engine: &Engine, actor: &Actor) -> Result<String> {
    actor.require(Permission::ViewConnector)?;
    Ok(account(engine.database().read(), actor.account_id()).await?.external_id)
}

/// Returns one connector.
pub async fn get(engine: &Engine, actor: &Actor, identifier: &str) -> Result<ConnectorView> {
    actor.require(Permission::ViewConnector)?;
    let row = require(engine.database().read(), actor.account_id(), identifier).await?;
    read_view(engine.database(), actor.account_id(), &row).await
}
