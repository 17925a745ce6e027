//! Replaces the data key and the master key while servers run.
//!
//! 1. [`rotate`] creates a data key and encrypts every secret again under it. Given a new master
//!    key, it wraps the data keys by that one too, so that servers work with either.
//! 2. The operator restarts each server with the new master key.
//! 3. [`retire`] revokes the old master key.

use auditstream_model::{Code, Permission};
use serde_json::json;

use crate::database::WriteTx;
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::vault::MasterKey;
use crate::{Actor, Engine, alerts, connectors};

const KIND: &str = "ENCRYPTION_KEY";

/// Encrypts every secret under a new data key and wraps the data keys by `new_master` as well, if
/// there is one. Returns the number of secrets.
///
/// # Errors
/// When a secret or data key cannot be decrypted with this master key, and [`Code::Conflict`] while
/// a third master key is valid: servers with that one could not unwrap the new data key. Nothing is
/// changed then.
pub async fn rotate(engine: &Engine, actor: &Actor, new_master: Option<&MasterKey>) -> Result<usize> {
    actor.require(Permission::EditAccess)?;
    let vault = engine.vault();
    let secrets = engine
        .database()
        .transaction("rotate_keys", async |tx| {
            vault.lock(tx).await?;
            refuse_third_master_key(engine, tx, new_master).await?;
            vault.create_data_key(tx).await?;
            if let Some(master) = new_master {
                vault.add_master_key(tx, master).await?;
            }
            let secrets = connectors::seal_again(engine, tx).await? + alerts::seal_again(engine, tx).await?;
            let new = json!({"secrets": secrets, "new_master_key": new_master.is_some()});
            record(tx, actor, Change::of(KIND, "data key", "UPDATE", (), new)).await?;
            Ok(secrets)
        })
        .await?;
    // Fails if another server is writing a secret under the old data key. The next rotation removes
    // the key then.
    if let Err(error) = delete_unused_data_keys(engine).await {
        tracing::debug!(%error, "unused data keys cannot be deleted now; the next rotation deletes them");
    }
    Ok(secrets)
}

/// Revokes every master key except this one: servers with another one cannot start any more.
/// Returns the number of revoked wraps. With `abandon`, also revokes the key that was to replace
/// this one.
///
/// # Errors
/// [`Code::Conflict`] if this master key does not unwrap every data key, or is itself being
/// replaced and `abandon` is not set.
pub async fn retire(engine: &Engine, actor: &Actor, abandon: bool) -> Result<u64> {
    actor.require(Permission::EditAccess)?;
    let vault = engine.vault();
    let ours = vault.master_key_id();
    engine
        .database()
        .transaction("retire_keys", async |tx| {
            vault.lock(tx).await?;
            require_every_data_key(tx, &ours).await?;
            if !abandon {
                refuse_while_being_replaced(tx, &ours).await?;
            }
            let revoked = sqlx::query("DELETE FROM data_key_wrap WHERE master_key <> $1")
                .bind(&ours)
                .execute(&mut **tx)
                .await?
                .rows_affected();
            sqlx::query("UPDATE data_key_wrap SET pending = 0")
                .execute(&mut **tx)
                .await?;
            let old = json!({"wrapped_data_keys": revoked});
            record(tx, actor, Change::of(KIND, "master key", "DELETE", old, ())).await?;
            Ok(revoked)
        })
        .await
}

async fn refuse_third_master_key(engine: &Engine, tx: &mut WriteTx, new: Option<&MasterKey>) -> Result<()> {
    let ours = engine.vault().master_key_id();
    let new = new.map_or_else(|| ours.clone(), MasterKey::id);
    let others: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM data_key_wrap
         WHERE master_key <> $1
           AND master_key <> $2",
    )
    .bind(ours)
    .bind(new)
    .fetch_one(&mut **tx)
    .await?;
    if others == 0 {
        return Ok(());
    }
    Err(Error::refused(
        Code::Conflict,
        "Another master key is valid too. Rotate with it as the new master key, or retire it first.",
    ))
}

async fn require_every_data_key(tx: &mut WriteTx, ours: &[u8]) -> Result<()> {
    let missing: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM data_key k
         WHERE NOT EXISTS (
             SELECT 1
             FROM data_key_wrap w
             WHERE w.data_key_id = k.id
               AND w.master_key = $1
         )",
    )
    .bind(ours.to_vec())
    .fetch_one(&mut **tx)
    .await?;
    if missing == 0 {
        return Ok(());
    }
    Err(Error::refused(
        Code::Conflict,
        "Some data keys are not wrapped by this master key. Rotate with it as the new master key first.",
    ))
}

async fn refuse_while_being_replaced(tx: &mut WriteTx, ours: &[u8]) -> Result<()> {
    let pending: i64 = sqlx::query_scalar(
        "SELECT count(*)
         FROM data_key_wrap
         WHERE master_key <> $1
           AND pending = 1",
    )
    .bind(ours.to_vec())
    .fetch_one(&mut **tx)
    .await?;
    if pending == 0 {
        return Ok(());
    }
    Err(Error::refused(
        Code::Conflict,
        "This master key is being replaced. Run this with the new one, or abandon the new one with --abandon-new.",
    ))
}

/// Deletes the old data keys under which no secret is encrypted.
async fn delete_unused_data_keys(engine: &Engine) -> Result<()> {
    engine
        .database()
        .transaction("delete_unused_data_keys", async |tx| {
            sqlx::query(
                "DELETE FROM data_key
                 WHERE id < (SELECT max(id) FROM data_key)
                   AND NOT EXISTS (SELECT 1 FROM connector c WHERE c.data_key_id = data_key.id)
                   AND NOT EXISTS (SELECT 1 FROM webhook w WHERE w.data_key_id = data_key.id)",
            )
            .execute(&mut **tx)
            .await?;
            Ok(())
        })
        .await
}
