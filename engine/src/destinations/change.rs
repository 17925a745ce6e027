//! Create, replace, activate, pause, delete. Each change and its audit event are one transaction.

use auditstream_model::{
    Code, Destination, DestinationInput, DestinationView, FieldErrors, Permission, Sequence, StartAt, Status,
};
use serde_json::json;

use super::rows::{self, KIND, Row, new_uid, want_run};
use crate::connectors;
use crate::database::{WriteTx, now, retried};
use crate::error::{Error, Result, on_duplicate};
use crate::failpoint;
use crate::precondition::{Precondition, changed_after};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Makes a destination; INACTIVE unless sent otherwise.
///
/// # Errors
/// Fields that do not follow their rules; an unknown connector; an identifier that is in use; no permission.
pub async fn create(engine: &Engine, actor: &Actor, input: DestinationInput) -> Result<DestinationView> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    let wanted = input.status.unwrap_or_default();
    let destination = Destination {
        status: Status::Inactive,
        ..input.parse(None)?
    };
    let identifier = destination.identifier.as_str();
    retried(|| async {
        let mut tx = engine.database().write().await?;
        require_connector(&mut tx, actor, &destination).await?;
        sqlx::query(
            "INSERT INTO streaming_destination (account_id, identifier, name, description, tags, status, connector, spec, uid, created, updated, status_updated) \
             VALUES ($1, $2, $3, $4, $5, 'INACTIVE', $6, $7, $8, $9, $9, $9)",
        )
        .bind(actor.account_id())
        .bind(identifier)
        .bind(destination.name.as_str())
        .bind(destination.description.as_str())
        .bind(serde_json::to_string(&destination.tags)?)
        .bind(destination.connector_ref.as_str())
        .bind(serde_json::to_string(&destination.spec)?)
        .bind(new_uid())
        .bind(now())
        .execute(&mut *tx)
        .await
        .map_err(|error| on_duplicate(error, || Error::duplicate("streaming destination", identifier)))?;
        record(&mut tx, actor, Change::of(KIND, identifier, "CREATE", (), &destination)).await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        save_status(&mut tx, actor, &row, wanted).await?;
        failpoint::reached("create.committing").await;
        tx.commit().await?;
        failpoint::reached("create.committed").await;
        Ok(())
    })
    .await?;
    engine.wake();
    rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .view()
}

/// Replaces all but the identifier. Options that are left out stay; the cursor stays, even with another connector.
///
/// # Errors
/// Fields that do not follow their rules; an unknown connector; no such destination; no permission.
pub async fn replace(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    input: DestinationInput,
) -> Result<DestinationView> {
    replace_if(engine, actor, identifier, input, &Precondition::None).await
}

/// [`replace`] on a condition.
///
/// # Errors
/// The same, and [`Code::PreconditionFailed`].
pub async fn replace_if(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    input: DestinationInput,
    condition: &Precondition,
) -> Result<DestinationView> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    let made = retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        condition.check(Some(&row.view()?))?;
        let old = row.destination()?;
        let wanted = input.status.unwrap_or(old.status);
        let new = Destination {
            status: old.status,
            ..input.clone().parse(Some(&old.spec))?
        };
        if new.identifier != old.identifier {
            return Err(FieldErrors::one("identifier", "The id cannot be changed.").into());
        }
        if row.cursor.is_some() && new.spec.start_at != old.spec.start_at {
            return Err(FieldErrors::one("spec.start_at", "Where it starts is fixed once it has been active.").into());
        }
        require_connector(&mut tx, actor, &new).await?;
        if new != old {
            save(&mut tx, &row, &new).await?;
            if new.spec.bucket != old.spec.bucket || new.connector_ref != old.connector_ref {
                forget_conditional_writes(&mut tx, &row).await?;
            }
            record(&mut tx, actor, Change::of(KIND, identifier, "UPDATE", &old, &new)).await?;
        }
        save_status(&mut tx, actor, &row, wanted).await?;
        if wanted == Status::Active {
            // What kept it from streaming may have been mended.
            want_run(&mut tx, row.id).await?;
        }
        let made = rows::require(&mut *tx, actor.account_id(), identifier).await?.view()?;
        failpoint::reached("edit.committing").await;
        tx.commit().await?;
        failpoint::reached("edit.committed").await;
        Ok(made)
    })
    .await?;
    engine.wake();
    Ok(made)
}

/// Activates or pauses. After a pause is answered no PUT begins; one that is in flight is not waited for. An activation
/// starts a run at once.
///
/// # Errors
/// No such destination; no permission.
pub async fn set_status(engine: &Engine, actor: &Actor, identifier: &str, wanted: Status) -> Result<DestinationView> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        save_status(&mut tx, actor, &row, wanted).await?;
        failpoint::reached("toggle.committing").await;
        tx.commit().await?;
        failpoint::reached("toggle.committed").await;
        Ok(())
    })
    .await?;
    engine.wake();
    rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .view()
}

/// Deletes an INACTIVE destination with its batches. The event says how many events it never received.
///
/// # Errors
/// It is ACTIVE, does not exist, or the actor may not.
pub async fn delete(engine: &Engine, actor: &Actor, identifier: &str) -> Result<()> {
    delete_if(engine, actor, identifier, &Precondition::None).await
}

/// [`delete`] on a condition.
///
/// # Errors
/// The same, and [`Code::PreconditionFailed`].
pub async fn delete_if(engine: &Engine, actor: &Actor, identifier: &str, condition: &Precondition) -> Result<()> {
    engine.require_streaming()?;
    actor.require(Permission::DeleteDestination)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = rows::lock(&mut tx, actor.account_id(), identifier).await?;
        condition.check(Some(&row.view()?))?;
        if row.is_active() {
            let sentence = format!(
                "The streaming destination “{identifier}” cannot be deleted because it is active. Deactivate it first."
            );
            return Err(Error::refused(Code::Conflict, sentence));
        }
        let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
            .bind(row.account_id)
            .fetch_one(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM streaming_destination WHERE id = $1")
            .bind(row.id)
            .execute(&mut *tx)
            .await?;
        let undelivered = row.cursor.map(|cursor| last - cursor);
        let old = json!({"destination": row.destination()?, "undelivered_events": undelivered});
        record(&mut tx, actor, Change::of(KIND, identifier, "DELETE", old, ())).await?;
        tx.commit().await
    })
    .await
}

async fn save(tx: &mut WriteTx, row: &Row, new: &Destination) -> Result<()> {
    sqlx::query(
        "UPDATE streaming_destination SET name = $2, description = $3, tags = $4, connector = $5, spec = $6, updated = $7 WHERE id = $1",
    )
    .bind(row.id)
    .bind(new.name.as_str())
    .bind(new.description.as_str())
    .bind(serde_json::to_string(&new.tags)?)
    .bind(new.connector_ref.as_str())
    .bind(serde_json::to_string(&new.spec)?)
    .bind(changed_after(row.updated))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What a check found out of the bucket before says nothing of another.
async fn forget_conditional_writes(tx: &mut WriteTx, row: &Row) -> Result<()> {
    let forget = sqlx::query(
        "UPDATE streaming_destination SET conditional_writes = NULL, conditional_writes_checked = NULL WHERE id = $1",
    );
    forget.bind(row.id).execute(&mut **tx).await?;
    Ok(())
}

async fn require_connector(tx: &mut WriteTx, actor: &Actor, destination: &Destination) -> Result<()> {
    if connectors::hold(tx, actor.account_id(), destination.connector_ref.as_str()).await? {
        return Ok(());
    }
    Err(FieldErrors::one(
        "connector_ref",
        format!("There is no connector “{}”.", destination.connector_ref),
    )
    .into())
}

/// The first activation resolves `start_at`: `now` begins with the activation's own event, so that an object always lands.
async fn save_status(tx: &mut WriteTx, actor: &Actor, row: &Row, wanted: Status) -> Result<()> {
    if row.status == wanted.as_str() {
        return Ok(());
    }
    sqlx::query("UPDATE streaming_destination SET status = $2, status_updated = $3, updated = $3 WHERE id = $1")
        .bind(row.id)
        .bind(wanted.as_str())
        .bind(changed_after(row.updated))
        .execute(&mut **tx)
        .await?;
    if wanted == Status::Active {
        want_run(tx, row.id).await?;
    }
    let change = Change::of(
        KIND,
        &row.identifier,
        "UPDATE",
        json!({"status": row.status}),
        json!({"status": wanted}),
    );
    let own_event = record(tx, actor, change).await?;
    if wanted == Status::Active && row.cursor.is_none() {
        // Read again: a replace in this same transaction may have changed it.
        let spec: String = sqlx::query_scalar("SELECT spec FROM streaming_destination WHERE id = $1")
            .bind(row.id)
            .fetch_one(&mut **tx)
            .await?;
        let spec: auditstream_model::DestinationSpec = serde_json::from_str(&spec)?;
        let first: Sequence = match spec.start_at {
            StartAt::Now => own_event,
            StartAt::Oldest => {
                sqlx::query_scalar("SELECT min(sequence) FROM audit_event WHERE account_id = $1")
                    .bind(row.account_id)
                    .fetch_one(&mut **tx)
                    .await?
            }
        };
        sqlx::query("UPDATE streaming_destination SET cursor = $2 WHERE id = $1")
            .bind(row.id)
            .bind(first - 1)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
