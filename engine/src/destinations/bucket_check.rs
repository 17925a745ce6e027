//! Checks whether a destination could stream to a bucket: writes, reads and deletes one key
//! outside of `account=`. Never changes the result of a connection test.

use auditstream_model::{BucketCheck, BucketCheckInput, DestinationInput, DestinationSpec, FieldErrors, Permission};
use serde_json::{Value, json};

use super::authorize::authorize;
use super::rows::{self, DestinationRow, KIND};
use crate::connectors::{self, ConnectorWithSecrets, bucket_check};
use crate::database::now;
use crate::error::Result;
use crate::task::outlive_request;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Checks the bucket of a destination, and records whether the store honours `If-None-Match`.
/// A failed check is a result, not an error. The check is completed even if the caller is dropped.
pub async fn check_bucket(engine: &Engine, actor: &Actor, identifier: &str) -> Result<BucketCheck> {
    authorize(engine, actor, Permission::EditDestination)?;
    let row = rows::require(engine.database().read(), actor.account_id(), identifier).await?;
    outlive_request(engine.ongoing_work(), check_saved(engine.clone(), actor.clone(), row)).await
}

async fn check_saved(engine: Engine, actor: Actor, row: DestinationRow) -> Result<BucketCheck> {
    let spec = row.spec.get()?;
    let check = match connectors::unlock(&engine, row.account_id, &row.connector).await? {
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
            let change = Change::of(KIND, &row.identifier, "TEST", (), summary(spec, &check));
            record(tx, &actor, change).await.map(drop)
        })
        .await?;
    Ok(check)
}

/// Checks a bucket that no destination has yet. The check is completed even if the caller is
/// dropped.
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
    let (work, actor, spec) = (engine.clone(), actor.clone(), destination.spec);
    outlive_request(engine.ongoing_work(), check_unsaved(work, actor, connector, spec)).await
}

async fn check_unsaved(
    engine: Engine,
    actor: Actor,
    connector: ConnectorWithSecrets,
    spec: DestinationSpec,
) -> Result<BucketCheck> {
    let check = bucket_check::check(engine.aws(), &connector.profile, &spec).await;
    engine
        .database()
        .transaction("check_unsaved_bucket", async |tx| {
            let identifier = &connector.profile.identifier;
            let change = Change::of(connectors::KIND, identifier, "TEST", (), summary(&spec, &check));
            record(tx, &actor, change).await.map(drop)
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
