//! A destination in the database.

use auditstream_model::{Destination, DestinationSpec, DestinationView, Failure, Sequence, Status};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::Engine;
use crate::database::WriteTx;
use crate::error::{Error, Result};
use crate::paginate::Listed;

/// What audit events call it.
pub(crate) const KIND: &str = "STREAMING_DESTINATION";

/// One row, with the account's name.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) account_id: i64,
    pub(crate) account: String,
    pub(crate) identifier: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: String,
    pub(crate) status: String,
    pub(crate) connector: String,
    pub(crate) spec: String,
    pub(crate) uid: String,
    pub(crate) epoch: i64,
    pub(crate) cursor: Option<Sequence>,
    pub(crate) last_streamed_at: Option<i64>,
    pub(crate) failure: Option<String>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) status_updated: i64,
    /// 1 or 0 by the last bucket check; none when there was none.
    pub(crate) conditional_writes: Option<i64>,
    pub(crate) conditional_writes_checked: Option<i64>,
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT d.id, d.account_id, a.name AS account, d.identifier, d.name, d.description, d.tags, d.status, d.connector, d.spec, d.uid, ",
            "d.epoch, d.cursor, d.last_streamed_at, d.failure, d.created, d.updated, d.status_updated, ",
            "d.conditional_writes, d.conditional_writes_checked ",
            "FROM streaming_destination d JOIN account a ON a.id = d.account_id WHERE ",
            $where
        )
    };
}

impl Row {
    pub(crate) fn is_active(&self) -> bool {
        self.status == Status::Active.as_str()
    }

    pub(crate) fn spec(&self) -> Result<DestinationSpec> {
        Ok(serde_json::from_str(&self.spec)?)
    }

    pub(crate) fn failure(&self) -> Result<Option<Failure>> {
        Ok(self.failure.as_deref().map(serde_json::from_str).transpose()?)
    }

    pub(crate) fn destination(&self) -> Result<Destination> {
        Ok(serde_json::from_value(serde_json::json!({
            "identifier": self.identifier, "name": self.name, "description": self.description,
            "tags": serde_json::from_str::<serde_json::Value>(&self.tags)?, "status": self.status,
            "connector_ref": self.connector, "spec": serde_json::from_str::<serde_json::Value>(&self.spec)?,
        }))?)
    }

    pub(crate) fn view(&self) -> Result<DestinationView> {
        let streaming_destination = self.destination()?;
        Ok(DestinationView {
            streaming_destination,
            created: self.created,
            updated: self.updated,
            status_updated: self.status_updated,
        })
    }
}

impl Listed for Row {
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

/// By its row's id, whatever the account: for the scheduler.
pub(crate) async fn by_id(engine: &Engine, id: i64) -> Result<Option<Row>> {
    Ok(sqlx::query_as(select!("d.id = $1"))
        .bind(id)
        .fetch_optional(engine.database().read())
        .await?)
}

/// All of an account.
pub(crate) async fn all(engine: &Engine, account_id: i64) -> Result<Vec<Row>> {
    Ok(sqlx::query_as(select!("d.account_id = $1"))
        .bind(account_id)
        .fetch_all(engine.database().read())
        .await?)
}

/// One of an account.
pub(crate) async fn require(executor: impl AnyExecutor<'_>, account_id: i64, identifier: &str) -> Result<Row> {
    let query = sqlx::query_as(select!("d.account_id = $1 AND d.identifier = $2"))
        .bind(account_id)
        .bind(identifier);
    query
        .fetch_optional(executor)
        .await?
        .ok_or_else(|| Error::not_found("streaming destination", identifier))
}

/// One of an account, as it stays until the transaction ends.
pub(crate) async fn lock(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<Row> {
    let query = sqlx::query_as(tx.dialect().pick(
        select!("d.account_id = $1 AND d.identifier = $2"),
        select!("d.account_id = $1 AND d.identifier = $2 FOR UPDATE OF d"),
    ));
    let row = query
        .bind(account_id)
        .bind(identifier)
        .fetch_optional(&mut **tx)
        .await?;
    row.ok_or_else(|| Error::not_found("streaming destination", identifier))
}

/// Whether a run still has its right to a destination, which stays ACTIVE until the transaction ends.
pub(crate) async fn hold(tx: &mut WriteTx, id: i64, epoch: i64) -> Result<bool> {
    let query = sqlx::query_scalar::<_, i64>(tx.dialect().pick(
        "SELECT id FROM streaming_destination WHERE id = $1 AND epoch = $2 AND status = 'ACTIVE'",
        "SELECT id FROM streaming_destination WHERE id = $1 AND epoch = $2 AND status = 'ACTIVE' FOR SHARE",
    ));
    Ok(query.bind(id).bind(epoch).fetch_optional(&mut **tx).await?.is_some())
}

/// Asks for a run of a destination, of whichever server begins it first.
pub(crate) async fn want_run(tx: &mut WriteTx, id: i64) -> Result<()> {
    let query = sqlx::query("UPDATE streaming_destination SET runs_requested = runs_requested + 1 WHERE id = $1");
    query.bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// 80 random bits in base32, for the keys of one life of a destination.
pub(crate) fn new_uid() -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: u128 = rand::random();
    (0..16)
        .map(|place| char::from(DIGITS[usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0)]))
        .collect()
}
