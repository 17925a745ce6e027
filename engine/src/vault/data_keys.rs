//! The tables of data keys. Each key is stored once for every master key that may unwrap it.

use sqlx::any::AnyExecutor;

use super::aead::Key;
use super::master_key::MasterKey;
use crate::database::{Dialect, WriteTx, now};
use crate::error::Result;

/// Locks the data keys, so that two servers that open a new database at once create one key.
pub(super) async fn lock(tx: &mut WriteTx) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        sqlx::query("LOCK TABLE data_key IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The id of the newest data key. `None` if there is none.
pub(super) async fn newest(tx: &mut WriteTx) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT max(id) FROM data_key")
        .fetch_one(&mut **tx)
        .await?)
}

/// The ids of all data keys, oldest first.
pub(super) async fn all(tx: &mut WriteTx) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar("SELECT id FROM data_key ORDER BY id")
        .fetch_all(&mut **tx)
        .await?)
}

/// Reads a data key. `None` if it does not exist or `master` does not unwrap it.
pub(super) async fn read(executor: impl AnyExecutor<'_>, id: i64, master: &MasterKey) -> Result<Option<Key>> {
    let query = sqlx::query_scalar(
        "SELECT wrapped
         FROM data_key_wrap
         WHERE data_key_id = $1
           AND master_key = $2",
    );
    let wrapped: Option<Vec<u8>> = query.bind(id).bind(master.id()).fetch_optional(executor).await?;
    Ok(wrapped.and_then(|wrapped| master.unwrap(&wrapped)))
}

/// Stores a new data key, wrapped by `master`, and returns its id.
pub(super) async fn insert(tx: &mut WriteTx, key: &Key, master: &MasterKey) -> Result<i64> {
    let id = sqlx::query_scalar("INSERT INTO data_key (created) VALUES ($1) RETURNING id")
        .bind(now())
        .fetch_one(&mut **tx)
        .await?;
    wrap(tx, id, key, master, false).await?;
    Ok(id)
}

/// Stores a data key for one more master key, which is `pending` while it is to replace another
/// one.
pub(super) async fn wrap(tx: &mut WriteTx, id: i64, key: &Key, master: &MasterKey, pending: bool) -> Result<()> {
    let query = sqlx::query(
        "INSERT INTO data_key_wrap (data_key_id, master_key, wrapped, pending)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    );
    query
        .bind(id)
        .bind(master.id())
        .bind(master.wrap(key)?)
        .bind(i64::from(pending))
        .execute(&mut **tx)
        .await?;
    Ok(())
}
