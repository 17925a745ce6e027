//! A destination in the database.

use auditstream_model::destination::DestinationSpec;
use auditstream_model::{Destination, DestinationView, Failure, Sequence, Status};
use sqlx::{FromRow, SqliteExecutor};

use crate::Engine;
use crate::error::{Error, Result};

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
        self.status == Status::Active.word()
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

/// By its row's id, whatever the account: for the scheduler.
pub(crate) async fn by_id(engine: &Engine, id: i64) -> Result<Option<Row>> {
    Ok(sqlx::query_as(select!("d.id = $1"))
        .bind(id)
        .fetch_optional(engine.store().read())
        .await?)
}

/// All of an account.
pub(crate) async fn all(engine: &Engine, account_id: i64) -> Result<Vec<Row>> {
    Ok(
        sqlx::query_as(select!("d.account_id = $1 ORDER BY d.updated DESC, d.id DESC"))
            .bind(account_id)
            .fetch_all(engine.store().read())
            .await?,
    )
}

/// One of an account.
pub(crate) async fn require(executor: impl SqliteExecutor<'_>, account_id: i64, identifier: &str) -> Result<Row> {
    let query = sqlx::query_as(select!("d.account_id = $1 AND d.identifier = $2"))
        .bind(account_id)
        .bind(identifier);
    query
        .fetch_optional(executor)
        .await?
        .ok_or_else(|| Error::not_found("streaming destination", identifier))
}

/// 80 random bits in base32, for the keys of one life of a destination.
pub(crate) fn new_uid() -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: u128 = rand::random();
    (0..16)
        .map(|place| char::from(DIGITS[usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0)]))
        .collect()
}
