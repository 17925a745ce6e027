//! Creating, replacing, activating, pausing and deleting destinations. Each change and its audit
//! event are one transaction.

use auditstream_model::{
    Code, Destination, DestinationInput, DestinationView, FieldErrors, Permission, Sequence, StartAt, Status,
};
use serde_json::json;

use super::authorize::authorize;
use super::object_key::new_uid;
use super::rows::{self, DestinationRow, KIND, request_run};
use crate::connectors;
use crate::database::{WriteTx, column, now};
use crate::error::{Error, Result, on_duplicate};
use crate::precondition::{Precondition, changed_after};
use crate::trail::gaps;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Creates a destination; INACTIVE unless the input says otherwise.
pub async fn create(engine: &Engine, actor: &Actor, input: DestinationInput) -> Result<DestinationView> {
    authorize(engine, actor, Permission::EditDestination)?;
    let wanted = input.status.unwrap_or_default();
    let destination = Destination {
        status: Status::Inactive,
        ..input.parse(None)?
    };
    let identifier = destination.identifier.as_str();
    engine
        .database()
        .transaction("create", async |tx| {
            require_connector(tx, actor, &destination).await?;
            insert(tx, actor, &destination).await?;
            record(tx, actor, Change::of(KIND, identifier, "CREATE", (), &destination)).await?;
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            save_status(tx, actor, &row, wanted, row.start_at()).await
        })
        .await?;
    engine.wake();
    rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .view()
}

async fn insert(tx: &mut WriteTx, actor: &Actor, destination: &Destination) -> Result<()> {
    let identifier = destination.identifier.as_str();
    sqlx::query(
        "INSERT INTO streaming_destination \
         (account_id, identifier, name, description, tags, status, connector, spec, uid, \
         created, updated, status_updated, interval_seconds) \
         VALUES ($1, $2, $3, $4, $5, 'INACTIVE', $6, $7, $8, $9, $9, $9, $10)",
    )
    .bind(actor.account_id())
    .bind(identifier)
    .bind(destination.name.as_str())
    .bind(destination.description.as_str())
    .bind(column::to_json(&destination.tags)?)
    .bind(destination.connector_ref.as_str())
    .bind(column::to_json(&destination.spec)?)
    .bind(new_uid())
    .bind(now())
    .bind(destination.spec.interval_seconds.map(i64::from))
    .execute(&mut **tx)
    .await
    .map_err(|error| on_duplicate(error, || Error::duplicate("streaming destination", identifier)))?;
    Ok(())
}

/// Replaces everything but the identifier. Options that are omitted are kept, and so is the cursor,
/// even with another connector.
///
/// # Errors
/// Invalid fields; an unknown connector; no such destination; no permission;
/// [`Code::PreconditionFailed`].
pub async fn replace(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    input: DestinationInput,
    condition: &Precondition,
) -> Result<DestinationView> {
    authorize(engine, actor, Permission::EditDestination)?;
    let view = engine
        .database()
        .transaction("edit", async |tx| {
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            condition.check(Some(&row.view()?))?;
            let old = row.destination()?;
            let wanted = input.status.unwrap_or(old.status);
            let new = Destination {
                status: old.status,
                ..input.clone().parse(Some(&old.spec))?
            };
            check_fixed_fields(&row, &old, &new)?;
            require_connector(tx, actor, &new).await?;
            if new != old {
                save(tx, &row, &old, &new).await?;
                record(tx, actor, Change::of(KIND, identifier, "UPDATE", &old, &new)).await?;
            }
            save_status(tx, actor, &row, wanted, Ok(new.spec.start_at)).await?;
            if wanted == Status::Active {
                // The edit may have removed the cause of a failure.
                request_run(tx, row.id).await?;
            }
            rows::require(&mut **tx, actor.account_id(), identifier).await?.view()
        })
        .await?;
    engine.wake();
    Ok(view)
}

fn check_fixed_fields(row: &DestinationRow, old: &Destination, new: &Destination) -> Result<(), FieldErrors> {
    if new.identifier != old.identifier {
        return Err(FieldErrors::one("identifier", "The id cannot be changed."));
    }
    if row.cursor.is_some() && new.spec.start_at != old.spec.start_at {
        return Err(FieldErrors::one(
            "spec.start_at",
            "The start cannot be changed after the first activation.",
        ));
    }
    Ok(())
}

async fn save(tx: &mut WriteTx, row: &DestinationRow, old: &Destination, new: &Destination) -> Result<()> {
    sqlx::query(
        "UPDATE streaming_destination \
         SET name = $2, description = $3, tags = $4, connector = $5, spec = $6, updated = $7, interval_seconds = $8 \
         WHERE id = $1",
    )
    .bind(row.id)
    .bind(new.name.as_str())
    .bind(new.description.as_str())
    .bind(column::to_json(&new.tags)?)
    .bind(new.connector_ref.as_str())
    .bind(column::to_json(&new.spec)?)
    .bind(changed_after(row.updated))
    .bind(new.spec.interval_seconds.map(i64::from))
    .execute(&mut **tx)
    .await?;
    if new.spec.bucket != old.spec.bucket || new.connector_ref != old.connector_ref {
        // The last bucket check was of another bucket.
        sqlx::query(
            "UPDATE streaming_destination \
             SET conditional_writes = NULL, conditional_writes_checked = NULL \
             WHERE id = $1",
        )
        .bind(row.id)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Activates or pauses a destination. No PUT begins after a pause has returned; one in flight is
/// not waited for. An activation starts a run immediately.
pub async fn set_status(engine: &Engine, actor: &Actor, identifier: &str, wanted: Status) -> Result<DestinationView> {
    authorize(engine, actor, Permission::EditDestination)?;
    engine
        .database()
        .transaction("toggle", async |tx| {
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            save_status(tx, actor, &row, wanted, row.start_at()).await
        })
        .await?;
    engine.wake();
    rows::require(engine.database().read(), actor.account_id(), identifier)
        .await?
        .view()
}

/// Deletes an INACTIVE destination; [`Code::Conflict`] if it is ACTIVE. Its batches are removed in
/// the background.
///
/// # Errors
/// [`Code::Conflict`] if it is ACTIVE; no such destination; no permission;
/// [`Code::PreconditionFailed`].
pub async fn delete(engine: &Engine, actor: &Actor, identifier: &str, condition: &Precondition) -> Result<()> {
    authorize(engine, actor, Permission::DeleteDestination)?;
    engine
        .database()
        .transaction("delete_destination", async |tx| {
            let row = rows::lock(tx, actor.account_id(), identifier).await?;
            condition.check(Some(&row.view()?))?;
            if row.is_active() {
                let message = format!(
                    "The streaming destination “{identifier}” cannot be deleted because it is active. Deactivate it \
                     first."
                );
                return Err(Error::refused(Code::Conflict, message));
            }
            let last: Sequence = sqlx::query_scalar("SELECT last_sequence FROM account WHERE id = $1")
                .bind(row.account_id)
                .fetch_one(&mut **tx)
                .await?;
            sqlx::query("DELETE FROM streaming_destination WHERE id = $1")
                .bind(row.id)
                .execute(&mut **tx)
                .await?;
            // Its batches may be many: they are removed in steps, so that writers do not wait.
            sqlx::query("INSERT INTO deleted_destination (id) VALUES ($1)")
                .bind(row.id)
                .execute(&mut **tx)
                .await?;
            let undelivered = match row.cursor {
                Some(cursor) => Some(last - cursor - gaps::missing_after(&mut **tx, row.account_id, cursor).await?),
                None => None,
            };
            let old = json!({"destination": row.destination()?, "undelivered_events": undelivered});
            let change = Change::of(KIND, identifier, "DELETE", old, ());
            record(tx, actor, change).await.map(drop)
        })
        .await
}

async fn require_connector(tx: &mut WriteTx, actor: &Actor, destination: &Destination) -> Result<()> {
    if connectors::lock_shared(tx, actor.account_id(), destination.connector_ref.as_str()).await? {
        return Ok(());
    }
    Err(FieldErrors::one(
        "connector_ref",
        format!("There is no connector “{}”.", destination.connector_ref),
    )
    .into())
}

/// The first activation sets the cursor by `start_at`.
async fn save_status(
    tx: &mut WriteTx,
    actor: &Actor,
    row: &DestinationRow,
    wanted: Status,
    start_at: Result<StartAt>,
) -> Result<()> {
    if row.status == wanted {
        return Ok(());
    }
    sqlx::query("UPDATE streaming_destination SET status = $2, status_updated = $3, updated = $3 WHERE id = $1")
        .bind(row.id)
        .bind(wanted.as_str())
        .bind(changed_after(row.updated))
        .execute(&mut **tx)
        .await?;
    if wanted == Status::Active {
        request_run(tx, row.id).await?;
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
        // `now` includes the activation's own event, so that the first object arrives immediately.
        let first = match start_at? {
            StartAt::Now => own_event,
            StartAt::Oldest => oldest_event(tx, row.account_id).await?,
        };
        sqlx::query("UPDATE streaming_destination SET cursor = $2 WHERE id = $1")
            .bind(row.id)
            .bind(first - 1)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn oldest_event(tx: &mut WriteTx, account_id: i64) -> Result<Sequence> {
    let query = sqlx::query_scalar("SELECT first_sequence FROM account WHERE id = $1");
    Ok(query.bind(account_id).fetch_one(&mut **tx).await?)
}
