//! The stored webhook. Its URL and secret are sealed, since a URL may contain a secret too.

use auditstream_model::{DEFAULT_LAG_LIMIT_SECONDS, EpochMillis, Webhook};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use super::receiver::{Receiver, parse_secret, parse_url};
use crate::Engine;
use crate::database::{WriteTx, now};
use crate::error::Result;
use crate::precondition::changed_after;
use crate::vault::Sealed;

#[derive(FromRow)]
struct Row {
    account: String,
    data_key_id: i64,
    sealed: Vec<u8>,
    lag_limit_seconds: i64,
    created: EpochMillis,
    updated: EpochMillis,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) url: String,
    /// The signing key, in base64.
    pub(super) secret: String,
}

pub(super) struct Stored {
    row: Row,
    pub(super) target: Target,
}

/// The place that the sealed bytes are bound to.
fn place(account_id: i64) -> String {
    format!("webhook {account_id}")
}

impl Stored {
    pub(super) async fn find(engine: &Engine, account_id: i64) -> Result<Option<Self>> {
        let query = sqlx::query_as(
            "SELECT a.name AS account, w.data_key_id, w.sealed, w.lag_limit_seconds, w.created, w.updated \
             FROM webhook w \
             JOIN account a ON a.id = w.account_id \
             WHERE w.account_id = $1",
        );
        let database = engine.database().read();
        match query.bind(account_id).fetch_optional(database).await? {
            Some(row) => Ok(Some(Self::open(engine, database, account_id, row).await?)),
            None => Ok(None),
        }
    }

    pub(super) async fn lock(engine: &Engine, tx: &mut WriteTx, account_id: i64) -> Result<Option<Self>> {
        let query = sqlx::query_as(tx.dialect().pick(
            "SELECT a.name AS account, w.data_key_id, w.sealed, w.lag_limit_seconds, w.created, w.updated \
             FROM webhook w \
             JOIN account a ON a.id = w.account_id \
             WHERE w.account_id = $1",
            "SELECT a.name AS account, w.data_key_id, w.sealed, w.lag_limit_seconds, w.created, w.updated \
             FROM webhook w \
             JOIN account a ON a.id = w.account_id \
             WHERE w.account_id = $1 \
             FOR UPDATE OF w",
        ));
        match query.bind(account_id).fetch_optional(&mut **tx).await? {
            Some(row) => Ok(Some(Self::open(engine, &mut **tx, account_id, row).await?)),
            None => Ok(None),
        }
    }

    async fn open(engine: &Engine, executor: impl AnyExecutor<'_>, account_id: i64, row: Row) -> Result<Self> {
        let sealed = Sealed {
            data_key_id: row.data_key_id,
            bytes: row.sealed.clone(),
        };
        let opened = engine
            .vault()
            .open_sealed(executor, &place(account_id), &sealed)
            .await?;
        let target = serde_json::from_slice(&opened)?;
        Ok(Self { row, target })
    }

    pub(super) fn lag_limit_seconds(&self) -> u32 {
        u32::try_from(self.row.lag_limit_seconds).unwrap_or(DEFAULT_LAG_LIMIT_SECONDS)
    }

    pub(super) fn view(&self) -> Webhook {
        Webhook {
            url: self.target.url.clone(),
            lag_limit_seconds: self.lag_limit_seconds(),
            created: self.row.created,
            updated: self.row.updated,
        }
    }

    pub(super) fn next_update(&self) -> EpochMillis {
        changed_after(self.row.updated)
    }

    pub(super) fn receiver(&self) -> Result<Receiver> {
        Ok(Receiver {
            account: self.row.account.clone(),
            url: parse_url(&self.target.url)?,
            secret: parse_secret(&self.target.secret)?,
        })
    }
}

pub(super) async fn save(
    engine: &Engine,
    tx: &mut WriteTx,
    account_id: i64,
    target: &Target,
    lag_limit_seconds: u32,
    old: Option<&Stored>,
) -> Result<()> {
    let content = serde_json::to_vec(target)?;
    let sealed = engine.vault().seal(tx, &place(account_id), &content).await?;
    sqlx::query(
        "INSERT INTO webhook (account_id, data_key_id, sealed, lag_limit_seconds, created, updated) \
         VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (account_id) DO UPDATE SET data_key_id = excluded.data_key_id, \
         sealed = excluded.sealed, lag_limit_seconds = excluded.lag_limit_seconds, updated = excluded.updated",
    )
    .bind(account_id)
    .bind(sealed.data_key_id)
    .bind(sealed.bytes)
    .bind(i64::from(lag_limit_seconds))
    .bind(old.map_or_else(now, Stored::next_update))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct SealedRow {
    account_id: i64,
    data_key_id: i64,
    sealed: Vec<u8>,
}

/// Seals every webhook under the newest data key. Returns their number.
pub(crate) async fn seal_again(engine: &Engine, tx: &mut WriteTx) -> Result<usize> {
    let query = sqlx::query_as::<_, SealedRow>(tx.dialect().pick(
        "SELECT account_id, data_key_id, sealed FROM webhook ORDER BY account_id",
        "SELECT account_id, data_key_id, sealed FROM webhook ORDER BY account_id FOR UPDATE",
    ));
    let rows = query.fetch_all(&mut **tx).await?;
    let count = rows.len();
    for row in rows {
        let old = Sealed {
            data_key_id: row.data_key_id,
            bytes: row.sealed,
        };
        let new = engine.vault().seal_again(tx, &place(row.account_id), &old).await?;
        sqlx::query("UPDATE webhook SET data_key_id = $2, sealed = $3 WHERE account_id = $1")
            .bind(row.account_id)
            .bind(new.data_key_id)
            .bind(new.bytes)
            .execute(&mut **tx)
            .await?;
    }
    Ok(count)
}
