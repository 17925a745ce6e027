//! New keys, while servers run.
//!
//! 1. [`rotate`] makes a data key and seals every secret again under it. Given a new master key, it wraps the data keys by
//!    that one, too, so that servers with the old and with the new one work side by side.
//! 2. Each server is started again with the new master key, one after the other.
//! 3. [`retire`] removes what the old master key opens.

use auditstream_model::{Code, Permission};
use serde_json::json;

use crate::database::{WriteTx, retried};
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::vault::{MasterKey, insert, lock, wrap};
use crate::{Actor, Engine, alerts, connectors};

const KIND: &str = "ENCRYPTION_KEY";

/// Seals every secret under a new data key, and wraps the data keys by a new master key where there is one; answers how many
/// secrets were sealed.
///
/// # Errors
/// A secret or data key that this master key does not open; [`Code::Conflict`] while servers may run with yet another
/// master key, which would not open the new data key. Nothing is changed then.
pub async fn rotate(engine: &Engine, actor: &Actor, new_master: Option<&MasterKey>) -> Result<usize> {
    actor.require(Permission::EditAccess)?;
    let vault = engine.vault();
    let sealed = retried(|| async {
        let mut tx = engine.database().write().await?;
        lock(&mut tx).await?;
        require_no_other(&mut tx, &vault.master, new_master).await?;
        if let Some(master) = new_master {
            for id in data_keys(&mut tx).await? {
                let key = vault.data_key(&mut *tx, id).await?;
                wrap(&mut tx, id, &key, master, true).await?;
            }
        }
        let masters: Vec<&MasterKey> = std::iter::once(&vault.master).chain(new_master).collect();
        insert(&mut tx, &rand::random(), &masters).await?;
        let sealed = connectors::seal_again(engine, &mut tx).await? + alerts::seal_again(engine, &mut tx).await?;
        let new = json!({"secrets": sealed, "new_master_key": new_master.is_some()});
        record(&mut tx, actor, Change::of(KIND, "data key", "UPDATE", (), new)).await?;
        tx.commit().await?;
        Ok(sealed)
    })
    .await?;
    // A server that was about to write a secret under the old key keeps it for now; the next rotation will do.
    if let Err(error) = forget_unused(engine).await {
        tracing::debug!(%error, "old data keys stay");
    }
    Ok(sealed)
}

/// Removes what other master keys than this one open; servers that have another are refused at their next start. With
/// `abandon` the present key may give up the one that was to replace it.
///
/// # Errors
/// [`Code::Conflict`] when some data key is not wrapped by this master key, or this is the one that is being replaced.
pub async fn retire(engine: &Engine, actor: &Actor, abandon: bool) -> Result<u64> {
    actor.require(Permission::EditAccess)?;
    let ours = engine.vault().master.id();
    retried(|| async {
        let mut tx = engine.database().write().await?;
        lock(&mut tx).await?;
        let missing: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM data_key k WHERE NOT EXISTS \
             (SELECT 1 FROM data_key_wrap w WHERE w.data_key_id = k.id AND w.master_key = $1)",
        )
        .bind(&ours)
        .fetch_one(&mut *tx)
        .await?;
        if missing > 0 {
            return Err(Error::refused(
                Code::Conflict,
                "Some data keys are not wrapped by this master key: rotate with it as the new one first.",
            ));
        }
        let coming: i64 =
            sqlx::query_scalar("SELECT count(*) FROM data_key_wrap WHERE master_key <> $1 AND pending = 1")
                .bind(&ours)
                .fetch_one(&mut *tx)
                .await?;
        if coming > 0 && !abandon {
            return Err(Error::refused(
                Code::Conflict,
                "This master key is the one that is being replaced. Run this with the new one, or give up the new one with --abandon-new.",
            ));
        }
        let gone = sqlx::query("DELETE FROM data_key_wrap WHERE master_key <> $1")
            .bind(&ours)
            .execute(&mut *tx)
            .await?;
        let gone = gone.rows_affected();
        sqlx::query("UPDATE data_key_wrap SET pending = 0")
            .execute(&mut *tx)
            .await?;
        let change = Change::of(KIND, "master key", "DELETE", json!({"wrapped_data_keys": gone}), ());
        record(&mut tx, actor, change).await?;
        tx.commit().await?;
        Ok(gone)
    })
    .await
}

async fn require_no_other(tx: &mut WriteTx, ours: &MasterKey, new: Option<&MasterKey>) -> Result<()> {
    let others: i64 =
        sqlx::query_scalar("SELECT count(*) FROM data_key_wrap WHERE master_key <> $1 AND master_key <> $2")
            .bind(ours.id())
            .bind(new.unwrap_or(ours).id())
            .fetch_one(&mut **tx)
            .await?;
    if others == 0 {
        return Ok(());
    }
    Err(Error::refused(
        Code::Conflict,
        "Another master key is being replaced, or replaces this one. Give it as the new one, or retire it first.",
    ))
}

async fn data_keys(tx: &mut WriteTx) -> Result<Vec<i64>> {
    let query = sqlx::query_scalar("SELECT id FROM data_key ORDER BY id");
    Ok(query.fetch_all(&mut **tx).await?)
}

/// Removes the data keys under which nothing is sealed.
async fn forget_unused(engine: &Engine) -> Result<()> {
    let mut tx = engine.database().write().await?;
    sqlx::query(
        "DELETE FROM data_key WHERE id < (SELECT max(id) FROM data_key) \
         AND NOT EXISTS (SELECT 1 FROM connector c WHERE c.data_key_id = data_key.id) \
         AND NOT EXISTS (SELECT 1 FROM webhook w WHERE w.data_key_id = data_key.id)",
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}
