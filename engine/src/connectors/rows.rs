//! Connectors in the database. Secrets are sealed, and leave only towards AWS.

use auditstream_model::connector::Secrets;
use auditstream_model::{
    Code, Connector, ConnectorInput, ConnectorView, Credentials, FieldErrors, Identifier, ListQuery, Listing, Order,
    Permission, Sort,
};
use http::Uri;
use sha2::{Digest, Sha256};
use sqlx::any::AnyExecutor;
use sqlx::{AnyConnection, FromRow};

use super::credentials::not_permitted_sentence;
use crate::error::{Error, Result, on_duplicate};
use crate::precondition::{Precondition, changed_after};
use crate::store::{WriteTx, now, retried};
use crate::trail::own::{Change, record};
use crate::vault::Sealed;
use crate::{Actor, Engine};

/// What audit events call it.
pub(crate) const KIND: &str = "CONNECTOR";

#[derive(FromRow)]
pub(crate) struct Row {
    identifier: String,
    name: String,
    description: String,
    tags: String,
    spec: String,
    data_key_id: Option<i64>,
    secrets: Option<Vec<u8>>,
    created: i64,
    updated: i64,
}

impl Row {
    fn sealed(&self) -> Option<Sealed> {
        let (data_key_id, bytes) = self.data_key_id.zip(self.secrets.clone())?;
        Some(Sealed { data_key_id, bytes })
    }

    fn connector(&self) -> Result<Connector> {
        Ok(serde_json::from_value(serde_json::json!({
            "identifier": self.identifier, "name": self.name, "description": self.description,
            "tags": serde_json::from_str::<serde_json::Value>(&self.tags)?,
            "spec": serde_json::from_str::<serde_json::Value>(&self.spec)?,
        }))?)
    }
}

macro_rules! select {
    ($where:literal) => {
        concat!(
            "SELECT identifier, name, description, tags, spec, data_key_id, secrets, created, updated FROM connector WHERE ",
            $where
        )
    };
}

async fn find(executor: impl AnyExecutor<'_>, account_id: i64, identifier: &str) -> Result<Option<Row>> {
    let query = sqlx::query_as(select!("account_id = $1 AND identifier = $2"));
    Ok(query.bind(account_id).bind(identifier).fetch_optional(executor).await?)
}

/// The row as it stays until the transaction ends.
async fn lock(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<Row> {
    let query = sqlx::query_as(tx.dialect().pick(
        select!("account_id = $1 AND identifier = $2"),
        select!("account_id = $1 AND identifier = $2 FOR UPDATE"),
    ));
    let row = query
        .bind(account_id)
        .bind(identifier)
        .fetch_optional(&mut **tx)
        .await?;
    row.ok_or_else(|| Error::not_found("connector", identifier))
}

/// Whether there is such a connector. It can not be deleted before the transaction ends.
pub(crate) async fn hold(tx: &mut WriteTx, account_id: i64, identifier: &str) -> Result<bool> {
    let query = sqlx::query_scalar::<_, i64>(tx.dialect().pick(
        "SELECT id FROM connector WHERE account_id = $1 AND identifier = $2",
        "SELECT id FROM connector WHERE account_id = $1 AND identifier = $2 FOR SHARE",
    ));
    let found = query
        .bind(account_id)
        .bind(identifier)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

async fn require(executor: impl AnyExecutor<'_>, account_id: i64, identifier: &str) -> Result<Row> {
    find(executor, account_id, identifier)
        .await?
        .ok_or_else(|| Error::not_found("connector", identifier))
}

/// A connector with its secrets, for those who talk to AWS.
#[derive(Debug)]
pub(crate) struct Unlocked {
    pub(crate) account_id: i64,
    /// The account's name.
    pub(crate) account: String,
    /// What the account sends when it takes on a role.
    pub(crate) external_id: String,
    pub(crate) connector: Connector,
    pub(crate) secrets: Option<Secrets>,
    /// Another one for every change that AWS would notice.
    pub(crate) version: [u8; 32],
}

impl Unlocked {
    pub(crate) fn region(&self) -> &str {
        &self.connector.spec.region
    }

    /// Whether it signs in as this host rather than with a key of its own.
    pub(crate) fn uses_host(&self) -> bool {
        !matches!(self.connector.spec.credentials, Credentials::Manual { .. })
    }
}

/// A connector with its secrets; none when there is no such connector.
pub(crate) async fn unlock(engine: &Engine, account_id: i64, identifier: &str) -> Result<Option<Unlocked>> {
    let Some(row) = find(engine.store().read(), account_id, identifier).await? else {
        return Ok(None);
    };
    let (account, external_id) = account(engine.store().read(), account_id).await?;
    let mut hash = Sha256::new();
    hash.update(&row.spec);
    hash.update([0]);
    hash.update(row.secrets.as_deref().unwrap_or_default());
    let connector = row.connector()?;
    let secrets = match &row.sealed() {
        Some(sealed) => {
            let place = place(account_id, identifier);
            let opened = engine
                .vault()
                .open_sealed(engine.store().read(), &place, sealed)
                .await?;
            Some(serde_json::from_slice(&opened)?)
        }
        None => None,
    };
    Ok(Some(Unlocked {
        account_id,
        account,
        external_id,
        connector,
        secrets,
        version: hash.finalize().into(),
    }))
}

/// An account's name and its external id.
async fn account(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<(String, String)> {
    let query = sqlx::query_as("SELECT name, external_id FROM account WHERE id = $1").bind(account_id);
    Ok(query.fetch_one(executor).await?)
}

fn place(account_id: i64, identifier: &str) -> String {
    format!("connector {account_id} {identifier}")
}

async fn used_by(connection: &mut AnyConnection, account_id: i64, identifier: &str) -> Result<Vec<Identifier>> {
    let query = sqlx::query_scalar(
        "SELECT identifier FROM streaming_destination WHERE account_id = $1 AND connector = $2 ORDER BY identifier",
    );
    let found: Vec<String> = query.bind(account_id).bind(identifier).fetch_all(connection).await?;
    Ok(found
        .into_iter()
        .filter_map(|identifier| Identifier::try_from(identifier).ok())
        .collect())
}

async fn view(connection: &mut AnyConnection, account_id: i64, row: &Row) -> Result<ConnectorView> {
    let used_by = used_by(&mut *connection, account_id, &row.identifier).await?;
    let (_, external_id) = account(connection, account_id).await?;
    Ok(ConnectorView {
        connector: row.connector()?,
        created: row.created,
        updated: row.updated,
        used_by,
        external_id,
    })
}

/// The connectors of the actor's account.
///
/// # Errors
/// No permission; a page out of range.
pub async fn list(engine: &Engine, actor: &Actor, query: &ListQuery) -> Result<Listing<ConnectorView>> {
    actor.require(Permission::ViewConnector)?;
    let query = query.clone().checked()?;
    let term = query.search_term.as_deref().unwrap_or_default().to_lowercase();
    let mut rows: Vec<Row> = sqlx::query_as(select!("account_id = $1"))
        .bind(actor.account_id())
        .fetch_all(engine.store().read())
        .await?;
    rows.retain(|row| row.name.to_lowercase().contains(&term) || row.identifier.to_lowercase().contains(&term));
    rows.sort_by(|a, b| match query.sort {
        Sort::Identifier => a.identifier.cmp(&b.identifier),
        Sort::Name => a.name.cmp(&b.name),
        Sort::Created => a.created.cmp(&b.created),
        Sort::Updated => a.updated.cmp(&b.updated),
    });
    if query.order == Order::Descending {
        rows.reverse();
    }
    let total = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let mut items = Vec::new();
    let mut connection = engine.store().read().acquire().await?;
    for row in rows
        .iter()
        .skip(query.page as usize * query.limit as usize)
        .take(query.limit as usize)
    {
        items.push(view(&mut connection, actor.account_id(), row).await?);
    }
    Ok(Listing {
        items,
        total,
        page: query.page,
        limit: query.limit,
    })
}

/// What the trust policy of a cross-account role must ask for (`sts:ExternalId`): the account's own, made by the server.
///
/// # Errors
/// No permission.
pub async fn external_id(engine: &Engine, actor: &Actor) -> Result<String> {
    actor.require(Permission::ViewConnector)?;
    Ok(account(engine.store().read(), actor.account_id()).await?.1)
}

/// One connector.
///
/// # Errors
/// No permission; no such connector.
pub async fn get(engine: &Engine, actor: &Actor, identifier: &str) -> Result<ConnectorView> {
    actor.require(Permission::ViewConnector)?;
    let mut connection = engine.store().read().acquire().await?;
    let row = require(&mut *connection, actor.account_id(), identifier).await?;
    view(&mut connection, actor.account_id(), &row).await
}

/// Makes a connector.
///
/// # Errors
/// Fields that do not follow their rules; an identifier that is in use; no permission.
pub async fn create(engine: &Engine, actor: &Actor, input: ConnectorInput) -> Result<ConnectorView> {
    actor.require(Permission::EditConnector)?;
    let (connector, secrets) = input.parse()?;
    if matches!(connector.spec.credentials, Credentials::Manual { .. }) && secrets.is_none() {
        return Err(FieldErrors::one("spec.credentials.secret_key", "A secret key is needed.").into());
    }
    check_host(engine, actor, &connector)?;
    check_endpoint(engine, &connector)?;
    let identifier = connector.identifier.as_str();
    retried(|| async {
        let mut tx = engine.store().write().await?;
        let sealed = seal(engine, &mut tx, actor, identifier, secrets.as_ref()).await?;
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
        let mut tx = engine.store().write().await?;
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
            seal(engine, &mut tx, actor, identifier, secrets.as_ref()).await?
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
        let mut tx = engine.store().write().await?;
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
        .reach()
        .check_url(&url)
        .map_err(|refusal| wrong(refusal.to_string()))?)
}

async fn seal(
    engine: &Engine,
    tx: &mut WriteTx,
    actor: &Actor,
    identifier: &str,
    secrets: Option<&Secrets>,
) -> Result<Option<Sealed>> {
    let Some(secrets) = secrets else { return Ok(None) };
    let place = place(actor.account_id(), identifier);
    let secret = serde_json::to_vec(secrets)?;
    engine.vault().seal(tx, &place, &secret).await.map(Some)
}

/// Seals the secrets of every connector under the newest data key; answers how many.
pub(crate) async fn seal_again(engine: &Engine, tx: &mut WriteTx) -> Result<usize> {
    let query = sqlx::query_as::<_, (i64, i64, String, i64, Vec<u8>)>(tx.dialect().pick(
        "SELECT id, account_id, identifier, data_key_id, secrets FROM connector WHERE secrets IS NOT NULL ORDER BY id",
        "SELECT id, account_id, identifier, data_key_id, secrets FROM connector WHERE secrets IS NOT NULL ORDER BY id FOR UPDATE",
    ));
    let rows = query.fetch_all(&mut **tx).await?;
    let count = rows.len();
    for (id, account_id, identifier, data_key_id, bytes) in rows {
        let place = place(account_id, &identifier);
        let sealed = engine
            .vault()
            .seal_again(tx, &place, &Sealed { data_key_id, bytes })
            .await?;
        sqlx::query("UPDATE connector SET data_key_id = $2, secrets = $3 WHERE id = $1")
            .bind(id)
            .bind(sealed.data_key_id)
            .bind(sealed.bytes)
            .execute(&mut **tx)
            .await?;
    }
    Ok(count)
}
