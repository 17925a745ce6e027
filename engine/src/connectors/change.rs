//! Creating, replacing and deleting connectors, each in one transaction with its audit event.

use auditstream_model::{Code, Connector, ConnectorInput, ConnectorView, Credentials, FieldErrors, Permission};
use http::Uri;

use super::list::get;
use super::rows::{KIND, lock, require, view};
use super::secrets::seal;
use crate::aws::credentials::host_not_permitted;
use crate::database::{WriteTx, column, now};
use crate::error::{Error, Result, on_duplicate};
use crate::precondition::{Precondition, changed_after};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Creates a connector.
pub async fn create(engine: &Engine, actor: &Actor, input: ConnectorInput) -> Result<ConnectorView> {
    actor.require(Permission::EditConnector)?;
    let (connector, secrets) = input.parse()?;
    if matches!(connector.spec.credentials, Credentials::Manual { .. }) && secrets.is_none() {
        return Err(FieldErrors::one("spec.credentials.secret_key", "A secret key is required.").into());
    }
    check_host(engine, actor, &connector)?;
    check_endpoint(engine, actor, &connector)?;
    let identifier = connector.identifier.as_str();
    engine
        .database()
        .transaction("create_connector", async |tx| {
            let sealed = seal(engine, tx, actor.account_id(), identifier, secrets.as_ref()).await?;
            sqlx::query(
                "INSERT INTO connector \
                 (account_id, identifier, name, description, tags, spec, data_key_id, secrets, created, updated) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
            )
            .bind(actor.account_id())
            .bind(identifier)
            .bind(connector.name.as_str())
            .bind(connector.description.as_str())
            .bind(column::to_json(&connector.tags)?)
            .bind(column::to_json(&connector.spec)?)
            .bind(sealed.as_ref().map(|sealed| sealed.data_key_id))
            .bind(sealed.map(|sealed| sealed.bytes))
            .bind(now())
            .execute(&mut **tx)
            .await
            .map_err(|error| on_duplicate(error, || Error::duplicate("connector", identifier)))?;
            let change = Change::of(KIND, identifier, "CREATE", (), &connector);
            record(tx, actor, change).await.map(drop)
        })
        .await?;
    get(engine, actor, identifier).await
}

/// Replaces a connector; a secret that is omitted is kept. Changing the endpoint or the access key
/// requires the secret again, so that a user who does not know it cannot send it elsewhere.
///
/// # Errors
/// Invalid fields; no such connector; no permission; [`Code::PreconditionFailed`].
pub async fn replace(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
    input: ConnectorInput,
    condition: &Precondition,
) -> Result<ConnectorView> {
    actor.require(Permission::EditConnector)?;
    let (connector, secrets) = input.parse()?;
    check_host(engine, actor, &connector)?;
    check_endpoint(engine, actor, &connector)?;
    if connector.identifier.as_str() != identifier {
        return Err(FieldErrors::one("identifier", "The id cannot be changed.").into());
    }
    let manual = matches!(connector.spec.credentials, Credentials::Manual { .. });
    let view = engine
        .database()
        .transaction("edit_connector", async |tx| {
            lock_destinations(tx, actor.account_id(), identifier).await?;
            request_runs(tx, actor.account_id(), identifier).await?;
            let row = lock(tx, actor.account_id(), identifier).await?;
            condition.check(Some(&view(tx, actor.account_id(), &row).await?))?;
            let old = row.connector()?;
            if manual && secrets.is_none() && needs_secret_again(&old, &connector) {
                return Err(FieldErrors::one(
                    "spec.credentials.secret_key",
                    "Enter the secret key again: the endpoint or the access key has changed.",
                )
                .into());
            }
            let sealed = match &secrets {
                Some(_) => seal(engine, tx, actor.account_id(), identifier, secrets.as_ref()).await?,
                None if manual => row.sealed(),
                None => None,
            };
            sqlx::query(
                "UPDATE connector \
                 SET name = $3, description = $4, tags = $5, spec = $6, data_key_id = $7, secrets = $8, updated = $9 \
                 WHERE account_id = $1 AND identifier = $2",
            )
            .bind(actor.account_id())
            .bind(identifier)
            .bind(connector.name.as_str())
            .bind(connector.description.as_str())
            .bind(column::to_json(&connector.tags)?)
            .bind(column::to_json(&connector.spec)?)
            .bind(sealed.as_ref().map(|sealed| sealed.data_key_id))
            .bind(sealed.map(|sealed| sealed.bytes))
            .bind(changed_after(row.updated))
            .execute(&mut **tx)
            .await?;
            if connector.spec.endpoint != old.spec.endpoint {
                forget_findings(tx, actor.account_id(), identifier).await?;
            }
            record(tx, actor, Change::of(KIND, identifier, "UPDATE", &old, &connector)).await?;
            let row = require(&mut **tx, actor.account_id(), identifier).await?;
            view(tx, actor.account_id(), &row).await
        })
        .await?;
    engine.wake();
    Ok(view)
}

/// Locks all destinations that use a connector, before the connector itself, as an edit of a
/// destination does.
async fn lock_destinations(tx: &mut WriteTx, account_id: i64, connector: &str) -> Result<()> {
    let lock = tx.dialect().pick(
        "SELECT id FROM streaming_destination WHERE account_id = $1 AND connector = $2",
        "SELECT id FROM streaming_destination WHERE account_id = $1 AND connector = $2 ORDER BY id FOR NO KEY UPDATE",
    );
    sqlx::query(lock)
        .bind(account_id)
        .bind(connector)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Starts a run of every ACTIVE destination that uses a connector: the edit may have removed the
/// cause of a failure.
async fn request_runs(tx: &mut WriteTx, account_id: i64, connector: &str) -> Result<()> {
    sqlx::query(
        "UPDATE streaming_destination SET runs_requested = runs_requested + 1 \
         WHERE account_id = $1 AND connector = $2 AND status = 'ACTIVE'",
    )
    .bind(account_id)
    .bind(connector)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets the results of bucket checks, which were of another store.
async fn forget_findings(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<()> {
    sqlx::query(
        "UPDATE streaming_destination \
         SET conditional_writes = NULL, conditional_writes_checked = NULL \
         WHERE account_id = $1 AND connector = $2",
    )
    .bind(account_id)
    .bind(identifier)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Deletes a connector that no destination uses.
///
/// # Errors
/// [`Code::InUse`]; no such connector; no permission; [`Code::PreconditionFailed`].
pub async fn delete(engine: &Engine, actor: &Actor, identifier: &str, condition: &Precondition) -> Result<()> {
    actor.require(Permission::DeleteConnector)?;
    engine
        .database()
        .transaction("delete_connector", async |tx| {
            let row = lock(tx, actor.account_id(), identifier).await?;
            let current = view(tx, actor.account_id(), &row).await?;
            condition.check(Some(&current))?;
            let uses: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM streaming_destination WHERE account_id = $1 AND connector = $2",
            )
            .bind(actor.account_id())
            .bind(identifier)
            .fetch_one(&mut **tx)
            .await?;
            if uses > 0 {
                return Err(Error::refused(
                    Code::InUse,
                    format!(
                        "The connector “{identifier}” cannot be deleted because {uses} streaming destination(s) use it."
                    ),
                ));
            }
            sqlx::query("DELETE FROM connector WHERE account_id = $1 AND identifier = $2")
                .bind(actor.account_id())
                .bind(identifier)
                .execute(&mut **tx)
                .await?;
            let change = Change::of(KIND, identifier, "DELETE", &current.connector, ());
            record(tx, actor, change).await.map(drop)
        })
        .await?;
    engine.aws().forget(actor.account_id(), identifier);
    Ok(())
}

fn needs_secret_again(old: &Connector, new: &Connector) -> bool {
    old.spec.endpoint != new.spec.endpoint || old.spec.credentials != new.spec.credentials
}

fn check_host(engine: &Engine, actor: &Actor, connector: &Connector) -> Result<()> {
    let uses_host = !matches!(connector.spec.credentials, Credentials::Manual { .. });
    let account = actor.account().as_str();
    if uses_host && !engine.aws().context().settings.permits_host(account) {
        let message = format!(
            "{} Enter an access key, or ask the server's operator to permit it.",
            host_not_permitted(account)
        );
        return Err(FieldErrors::one("spec.credentials.type", message).into());
    }
    Ok(())
}

/// Checks an endpoint that is an IP address against the egress policy. Names are checked when they
/// are resolved.
fn check_endpoint(engine: &Engine, actor: &Actor, connector: &Connector) -> Result<()> {
    let Some(endpoint) = &connector.spec.endpoint else {
        return Ok(());
    };
    let invalid = |message: String| FieldErrors::one("spec.endpoint", message);
    let url: Uri = endpoint
        .parse()
        .map_err(|_| invalid("An endpoint is an address such as https://s3.example.com:9000.".into()))?;
    Ok(engine
        .egress_policy()
        .of(actor.account().as_str())
        .check_url(&url)
        .map_err(|refusal| invalid(refusal.to_string()))?)
}
