//! A connector in the database.

use auditstream_model::{Connector, ConnectorSpec, ConnectorView, Identifier, Tags};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::database::{Database, Json, WriteTx, column};
use crate::error::{Error, Result};
use crate::paginate::Listed;
use crate::vault::Sealed;

/// The resource type in audit events.
pub(crate) const KIND: &str = "CONNECTOR";

#[derive(FromRow)]
pub(super) struct ConnectorRow {
    pub(super) identifier: String,
    name: String,
    description: String,
    tags: Json<Tags>,
    pub(super) spec: Json<ConnectorSpec>,
    data_key_id: Option<i64>,
    pub(super) secrets: Option<Vec<u8>>,
    created: i64,
    pub(super) updated: i64,
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT identifier, name, description, tags, spec, data_key_id, secrets, created, updated \
             FROM connector WHERE ",
            $where
        )
    };
}

impl ConnectorRow {
    pub(super) fn sealed(&self) -> Option<Sealed> {
        let (data_key_id, bytes) = self.data_key_id.zip(self.secrets.clone())?;
        Some(Sealed { data_key_id, bytes })
    }

    pub(super) fn connector(&self) -> Result<Connector> {
        Ok(Connector {
            identifier: column::parse(&self.identifier)?,
            name: column::parse(&self.name)?,
            description: column::parse(&self.description)?,
            tags: self.tags.get()?.clone(),
            spec: self.spec.get()?.clone(),
        })
    }
}

impl Listed for ConnectorRow {
    fn identifier(&self) -> &str {
        &self.identifier
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn created(&self) -> i64 {
        self.created
    }
    fn updated(&self) -> i64 {
        self.updated
    }
}

pub(super) async fn find(
    executor: impl AnyExecutor<'_>,
    account_id: i64,
    identifier: &str,
) -> Result<Option<ConnectorRow>> {
    let query = sqlx::query_as(select!("account_id = $1 AND identifier = $2"));
    Ok(query.bind(account_id).bind(identifier).fetch_optional(executor).await?)
}

pub(super) async fn require(executor: impl AnyExecutor<'_>, account_id: i64, identifier: &str) -> Result<ConnectorRow> {
    find(executor, account_id, identifier)
        .await?
        .ok_or_else(|| Error::not_found("connector", identifier))
}

pub(super) async fn all(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Vec<ConnectorRow>> {
    let query = sqlx::query_as(select!("account_id = $1")).bind(account_id);
    Ok(query.fetch_all(executor).await?)
}

pub(super) async fn lock(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<ConnectorRow> {
    let query = sqlx::query_as(tx.dialect().pick(
        select!("account_id = $1 AND identifier = $2"),
        select!("account_id = $1 AND identifier = $2 FOR UPDATE"),
    ));
    let row = query
        .bind(account_id)
        .bind(identifier)
        .fetch_optional(&mut **tx)
        .await?;
    row.ok_or_else(|| Error::not_found("connector", identifier))
}

/// Returns whether a connector exists, and prevents its deletion until the transaction ends.
pub(crate) async fn lock_shared(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<bool> {
    let query = sqlx::query_scalar::<_, i64>(tx.dialect().pick(
        "SELECT id FROM connector WHERE account_id = $1 AND identifier = $2",
        "SELECT id FROM connector WHERE account_id = $1 AND identifier = $2 FOR SHARE",
    ));
    let found = query
        .bind(account_id)
        .bind(identifier)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

#[derive(FromRow)]
pub(super) struct AccountRow {
    pub(super) name: String,
    pub(super) external_id: String,
}

pub(super) async fn account(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<AccountRow> {
    let query = sqlx::query_as("SELECT name, external_id FROM account WHERE id = $1").bind(account_id);
    Ok(query.fetch_one(executor).await?)
}

async fn used_by(executor: impl AnyExecutor<'_>, account_id: i64, identifier: &str) -> Result<Vec<Identifier>> {
    let query = sqlx::query_scalar(
        "SELECT identifier FROM streaming_destination \
         WHERE account_id = $1 AND connector = $2 \
         ORDER BY identifier",
    );
    let found: Vec<String> = query.bind(account_id).bind(identifier).fetch_all(executor).await?;
    Ok(found
        .into_iter()
        .filter_map(|identifier| Identifier::try_from(identifier).ok())
        .collect())
}

/// Returns a connector as it is shown, read in a transaction.
pub(super) async fn view(tx: &mut WriteTx, account_id: i64, row: &ConnectorRow) -> Result<ConnectorView> {
    let used_by = used_by(&mut **tx, account_id, &row.identifier).await?;
    shown(row, used_by, account(&mut **tx, account_id).await?)
}

/// Returns a connector as it is shown.
pub(super) async fn read_view(database: &Database, account_id: i64, row: &ConnectorRow) -> Result<ConnectorView> {
    let used_by = used_by(database.read(), account_id, &row.identifier).await?;
    shown(row, used_by, account(database.read(), account_id).await?)
}

fn shown(row: &ConnectorRow, used_by: Vec<Identifier>, account: AccountRow) -> Result<ConnectorView> {
    Ok(ConnectorView {
        connector: row.connector()?,
        created: row.created,
        updated: row.updated,
        used_by,
        external_id: account.external_id,
    })
}
