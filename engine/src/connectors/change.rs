//! Create, replace, delete. Each change and its audit event are one transaction.

use auditstream_model::{Code, Connector, ConnectorInput, ConnectorView, Credentials, FieldErrors, Permission};
use http::Uri;

use super::list::get;
use super::rows::{KIND, lock, require, view};
use super::secrets::seal;
use crate::aws::credentials::not_permitted_sentence;
use crate::database::{now, retried};
use crate::error::{Error, Result, on_duplicate};
use crate::precondition::{Precondition, changed_after};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Makes a connector.
///
/// # Errors
/// Fields that do not follow their rules; an identifier that is in use; no permission.
pub async fn create(engine: &Engine, actor: &Actor, input: ConnectorInput) -> Result<ConnectorView> {
    actor.require(Permission::EditConnector)?;
    let (connector, secrets) = input.parse()?;
    if matches!(connector.spec.credentials, Credentials::Manual { .. }) && secrets.is_none() {
        return Err(FieldErrors::one("spec.credentials.secret_key", "A secret key is required.").into());
    }
    check_host(engine, actor, &connector)?;
    check_endpoint(engine, &connector)?;
    let identifier = connector.identifier.as_str();
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let sealed = seal(engine, &mut tx, actor.account_id(), identifier, secrets.as_ref()).await?;
        sqlx::query(
            "INSERT INTO connector (account_id, identifier, name, description, tags, spec, data_key_id, secrets, created, updated) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        )
        .bind(actor.account_id())
        .bind(identifier)
        .bind(connector.name.as_str())
        .bind(connector.description.as_str())
        .bind(serde_json::to_string(&connector.tags)?)
        .bind(serde_json::to_string(&connector.spec)?)
        .bind(sealed.as_ref().map(|sealed| sealed.data_key_id))
        .bind(sealed.map(|sealed| sealed.bytes))
        .bind(now())
        .execute(&mut *tx)
        .await
        .map_err(|error| on_duplicate(error, || Error::duplicate("connector", identifier)))?;
        record(&mut tx, actor, Change::of(KIND, identifier, "CREATE", (), &connector)).await?;
        tx.commit().await
    })
    .await?;
    get(engine, actor, identifier).await
}

/// Replaces a connector; a secret that is left out stays. A changed endpoint or access key needs the secret again, so
/// that nobody who lacks it can have it sent elsewhere.
///
/// # Errors
/// Fields that do not follow their rules; no such connector; no permission.
pub async fn replace(engine: &Engine, actor: &Actor, identifier: &str, input: ConnectorInput) -> Result<ConnectorView> {
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
    input: ConnectorInput,
    condition: &Precondition,
) -> Result<ConnectorView> {
    actor.require(Permission::EditConnector)?;
    let (connector, secrets) = input.parse()?;
    check_host(engine, actor, &connector)?;
    check_endpoint(engine, &connector)?;
    if connector.identifier.as_str() != identifier {
        return Err(FieldErrors::one("identifier", "The id cannot be changed.").into());
    }
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = lock(&mut tx, actor.account_id(), identifier).await?;
        condition.check(Some(&view(&mut tx, actor.account_id(), &row).await?))?;
        let (old, row_updated) = (row.connector()?, row.updated);
        let moved = old.spec.endpoint != connector.spec.endpoint || old.spec.credentials != connector.spec.credentials;
        let manual = matches!(connector.spec.credentials, Credentials::Manual { .. });
        if manual && moved && secrets.is_none() {
            return Err(FieldErrors::one(
                "spec.credentials.secret_key",
                "Enter the secret key again: the endpoint or the access key has changed.",
            )
            .into());
        }
        let sealed = if secrets.is_some() {
            seal(engine, &mut tx, actor.account_id(), identifier, secrets.as_ref()).await?
        } else {
            row.sealed().filter(|_| manual)
        };
        sqlx::query(
            "UPDATE connector SET name = $3, description = $4, tags = $5, spec = $6, data_key_id = $7, secrets = $8, updated = $9 \
             WHERE account_id = $1 AND identifier = $2",
        )
        .bind(actor.account_id())
        .bind(identifier)
        .bind(connector.name.as_str())
        .bind(connector.description.as_str())
        .bind(serde_json::to_string(&connector.tags)?)
        .bind(serde_json::to_string(&connector.spec)?)
        .bind(sealed.as_ref().map(|sealed| sealed.data_key_id))
        .bind(sealed.map(|sealed| sealed.bytes))
        .bind(changed_after(row_updated))
        .execute(&mut *tx)
        .await?;
        record(&mut tx, actor, Change::of(KIND, identifier, "UPDATE", &old, &connector)).await?;
        let row = require(&mut *tx, actor.account_id(), identifier).await?;
        let made = view(&mut tx, actor.account_id(), &row).await?;
        tx.commit().await?;
        Ok(made)
    })
    .await
}

/// Deletes a connector that nothing uses.
///
/// # Errors
/// It is in use, does not exist, or the actor may not.
pub async fn delete(engine: &Engine, actor: &Actor, identifier: &str) -> Result<()> {
    delete_if(engine, actor, identifier, &Precondition::None).await
}

/// [`delete`] on a condition.
///
/// # Errors
/// The same, and [`Code::PreconditionFailed`].
pub async fn delete_if(engine: &Engine, actor: &Actor, identifier: &str, condition: &Precondition) -> Result<()> {
    actor.require(Permission::DeleteConnector)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let row = lock(&mut tx, actor.account_id(), identifier).await?;
        condition.check(Some(&view(&mut tx, actor.account_id(), &row).await?))?;
        let old = row.connector()?;
        let users: i64 =
            sqlx::query_scalar("SELECT count(*) FROM streaming_destination WHERE account_id = $1 AND connector = $2")
                .bind(actor.account_id())
                .bind(identifier)
                .fetch_one(&mut *tx)
                .await?;
        if users > 0 {
            return Err(Error::refused(
                Code::InUse,
                format!(
                    "The connector “{identifier}” cannot be deleted because {users} streaming destination(s) use it."
                ),
            ));
        }
        let delete = sqlx::query("DELETE FROM connector WHERE account_id = $1 AND identifier = $2");
        delete
            .bind(actor.account_id())
            .bind(identifier)
            .execute(&mut *tx)
            .await?;
        record(&mut tx, actor, Change::of(KIND, identifier, "DELETE", &old, ())).await?;
        tx.commit().await
    })
    .await?;
    engine.aws().forget(actor.account_id(), identifier);
    Ok(())
}

/// This host's own identity is for the accounts that whoever runs it has named.
fn check_host(engine: &Engine, actor: &Actor, connector: &Connector) -> Result<()> {
    let uses_host = !matches!(connector.spec.credentials, Credentials::Manual { .. });
    let account = actor.account().as_str();
    if uses_host && !engine.aws().permits_host(account) {
        let sentence = format!(
            "{} Enter an access key, or have whoever runs this server permit it.",
            not_permitted_sentence(account)
        );
        return Err(FieldErrors::one("spec.credentials.type", sentence).into());
    }
    Ok(())
}

/// An endpoint that is an address which is not spoken to; names are looked at when they are used.
fn check_endpoint(engine: &Engine, connector: &Connector) -> Result<()> {
    let Some(endpoint) = &connector.spec.endpoint else {
        return Ok(());
    };
    let wrong = |sentence: String| FieldErrors::one("spec.endpoint", sentence);
    let url: Uri = endpoint
        .parse()
        .map_err(|_| wrong("An endpoint is an address such as https://s3.example.com:9000, without a path.".into()))?;
    Ok(engine
        .egress_policy()
        .check_url(&url)
        .map_err(|refusal| wrong(refusal.to_string()))?)
}
