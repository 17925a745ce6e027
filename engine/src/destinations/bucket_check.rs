//! The bucket check: whether a destination could stream there, and if not, what to allow. It writes one fixed key outside
//! `account=` (or one beside it, where that is there already), reads it back, writes it again on condition that it is not
//! there, and deletes it. It never changes what a connection test said.

use auditstream_model::{BucketCheck, BucketCheckInput, DestinationInput, DestinationSpec, FieldErrors, Permission};
use serde_json::{Value, json};

use super::rows::{self, KIND};
use crate::connectors::{self, bucket_check};
use crate::database::{now, retried};
use crate::error::Result;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Checks the bucket of a destination, and remembers on it whether the server honours `If-None-Match`.
///
/// # Errors
/// No such destination; no permission. A bucket that does not work is an answer, not an error.
pub async fn check_bucket(engine: &Engine, actor: &Actor, identifier: &str) -> Result<BucketCheck> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    let row = rows::require(engine.database().read(), actor.account_id(), identifier).await?;
    let spec = row.spec()?;
    let check = match connectors::unlock(engine, row.account_id, &row.connector).await? {
        Some(unlocked) => bucket_check::check(engine, &unlocked, &spec).await,
        None => bucket_check::without_connector(&row.connector),
    };
    retried(|| async {
        let mut tx = engine.database().write().await?;
        if let Some(honoured) = check.conditional_writes {
            // Not when it was edited meanwhile: the check was of another bucket.
            sqlx::query(
                "UPDATE streaming_destination SET conditional_writes = $2, conditional_writes_checked = $3 \
                 WHERE id = $1 AND spec = $4 AND connector = $5",
            )
            .bind(row.id)
            .bind(i64::from(honoured))
            .bind(now())
            .bind(&row.spec)
            .bind(&row.connector)
            .execute(&mut *tx)
            .await?;
        }
        record(
            &mut tx,
            actor,
            Change::of(KIND, identifier, "TEST", (), found(&spec, &check)),
        )
        .await?;
        tx.commit().await
    })
    .await?;
    Ok(check)
}

/// Checks a bucket that no destination has yet.
///
/// # Errors
/// Fields that do not follow their rules; no such connector; no permission.
pub async fn check_unsaved_bucket(engine: &Engine, actor: &Actor, input: BucketCheckInput) -> Result<BucketCheck> {
    engine.require_streaming()?;
    actor.require(Permission::EditDestination)?;
    // The fields that are checked, in the form that they will be saved in.
    let whole = DestinationInput {
        identifier: "check".into(),
        name: "check".into(),
        connector_ref: input.connector_ref,
        spec: input.spec,
        ..DestinationInput::default()
    };
    let destination = whole.parse(None)?;
    let connector = destination.connector_ref.as_str();
    let Some(unlocked) = connectors::unlock(engine, actor.account_id(), connector).await? else {
        return Err(FieldErrors::one("connector_ref", format!("There is no connector “{connector}”.")).into());
    };
    let check = bucket_check::check(engine, &unlocked, &destination.spec).await;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let change = Change::of(
            connectors::KIND,
            connector,
            "TEST",
            (),
            found(&destination.spec, &check),
        );
        record(&mut tx, actor, change).await?;
        tx.commit().await
    })
    .await?;
    Ok(check)
}

/// What the audit event says of a check.
fn found(spec: &DestinationSpec, check: &BucketCheck) -> Value {
    json!({
        "bucket": spec.bucket, "prefix": spec.prefix, "status": check.status,
        "missing_actions": check.missing_actions, "conditional_writes": check.conditional_writes,
    })
}
