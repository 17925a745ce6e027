//! Checks whether a destination could stream to a bucket: writes, reads and deletes one key
//! outside of `account=`. Never changes the result of a connection test.

use auditstream_model::{BucketCheck, BucketCheckInput, DestinationInput, DestinationSpec, FieldErrors, Permission};
use serde_json::{Value, json};

use super::authorize::authorize;
use super::rows::{self, KIND};
use crate::connectors::{self, bucket_check};
use crate::database::now;
use crate::error::Result;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Checks the bucket of a destination, and records whether the store honours `If-None-Match`.
/// A failed check is a result, not an error.
pub async fn check_bucket(engine: &Engine, actor: &Actor, identifier: &str) -> Result<BucketCheck> {
    authorize(engine, actor, Permission::EditDestination)?;
    let row = rows::require(engine.database().read(), actor.account_id(), identifier).await?;
    let spec = row.spec.get()?;
    let check = match connectors::unlock(engine, row.account_id, &row.connector).await? {
        Some(connector) => bucket_check::check(engine.aws(), &connector.profile, spec).await,
        None => bucket_check::without_connector(&row.connector),
    };
    engine
        .database()
        .transaction("check_bucket", async |tx| {
            if let Some(honoured) = check.conditional_writes {
                // Not if it was edited during the check, which was of another bucket.
                sqlx::query(
                    "UPDATE streaming_destination \
                     SET conditional_writes = $2, conditional_writes_checked = $3 \
                     WHERE id = $1 AND spec = $4 AND connector = $5",
                )
                .bind(row.id)
                .bind(i64::from(honoured))
                .bind(now())
                .bind(row.spec.text())
                .bind(&row.connector)
                .execute(&mut **tx)
                .await?;
            }
            let change = Change::of(KIND, identifier, "TEST", (), summary(spec, &check));
            record(tx, actor, change).await.map(drop)
        })
        .await?;
    Ok(check)
}

/// Checks a bucket that no destination has yet.
pub async fn check_unsaved_bucket(engine: &Engine, actor: &Actor, input: BucketCheckInput) -> Result<BucketCheck> {
    authorize(engine, actor, Permission::EditDestination)?;
    // Validates the fields as they will be saved.
    let input = DestinationInput {
        identifier: "check".into(),
        name: "check".into(),
        connector_ref: input.connector_ref,
        spec: input.spec,
        ..DestinationInput::default()
    };
    let destination = input.parse(None)?;
    let identifier = destination.connector_ref.as_str();
    let Some(connector) = connectors::unlock(engine, actor.account_id(), identifier).await? else {
        return Err(FieldErrors::one("connector_ref", format!("There is no connector “{identifier}”.")).into());
    };
    let check = bucket_check::check(engine.aws(), &connector.profile, &destination.spec).await;
    engine
        .database()
        .transaction("check_unsaved_bucket", async |tx| {
            let summary = summary(&destination.spec, &check);
            let change = Change::of(connectors::KIND, identifier, "TEST", (), summary);
            record(tx, actor, change).await.map(drop)
        })
        .await?;
    Ok(check)
}

fn summary(spec: &DestinationSpec, check: &BucketCheck) -> Value {
    json!({
        "bucket": spec.bucket, "prefix": spec.prefix, "status": check.status,
        "missing_actions": check.missing_actions, "conditional_writes": check.conditional_writes,
    })
}
