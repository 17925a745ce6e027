//! The secrets of a connector: sealed in the database, and opened only to call AWS.

use auditstream_model::{Connector, Secrets};
use sha2::{Digest, Sha256};
use sqlx::FromRow;

use super::rows::{account, find};
use crate::Engine;
use crate::aws::AwsProfile;
use crate::database::WriteTx;
use crate::error::Result;
use crate::vault::Sealed;

#[derive(Debug)]
pub(crate) struct ConnectorWithSecrets {
    pub(crate) connector: Connector,
    pub(crate) profile: AwsProfile,
}

pub(crate) async fn unlock(engine: &Engine, account_id: i64, identifier: &str) -> Result<Option<ConnectorWithSecrets>> {
    let database = engine.database().read();
    let Some(row) = find(database, account_id, identifier).await? else {
        return Ok(None);
    };
    let account = account(database, account_id).await?;
    let connector = row.connector()?;
    let secrets = match &row.sealed() {
        Some(sealed) => {
            let context = seal_context(account_id, identifier);
            let opened = engine.vault().open_sealed(database, &context, sealed).await?;
            Some(serde_json::from_slice(&opened)?)
        }
        None => None,
    };
    let mut version = Sha256::new();
    version.update(row.spec.text());
    version.update([0]);
    version.update(row.secrets.as_deref().unwrap_or_default());
    let spec = &connector.spec;
    let profile = AwsProfile {
        account_id,
        account: account.name,
        identifier: row.identifier,
        region: spec.region.clone(),
        endpoint: spec.endpoint.clone(),
        path_style: spec.path_style,
        credentials: spec.credentials.clone(),
        secrets,
        role_arn: spec.cross_account.as_ref().map(|role| role.role_arn.clone()),
        external_id: account.external_id,
        version: version.finalize().into(),
    };
    Ok(Some(ConnectorWithSecrets { connector, profile }))
}

/// Binds sealed secrets to their connector: they cannot be opened as those of another one.
fn seal_context(account_id: i64, identifier: &str) -> String {
    format!("connector {account_id} {identifier}")
}

/// Seals secrets under the newest data key; `None` if there are none.
pub(super) async fn seal(
    engine: &Engine,
    tx: &mut WriteTx,
    account_id: i64,
    identifier: &str,
    secrets: Option<&Secrets>,
) -> Result<Option<Sealed>> {
    let Some(secrets) = secrets else { return Ok(None) };
    let context = seal_context(account_id, identifier);
    let plaintext = serde_json::to_vec(secrets)?;
    engine.vault().seal(tx, &context, &plaintext).await.map(Some)
}

#[derive(FromRow)]
struct SecretsRow {
    id: i64,
    account_id: i64,
    identifier: String,
    data_key_id: i64,
    secrets: Vec<u8>,
}

/// Seals the secrets of every connector again, under the newest data key. Returns their number.
pub(crate) async fn seal_again(engine: &Engine, tx: &mut WriteTx) -> Result<usize> {
    let query = sqlx::query_as::<_, SecretsRow>(tx.dialect().pick(
        "SELECT id, account_id, identifier, data_key_id, secrets FROM connector \
         WHERE secrets IS NOT NULL \
         ORDER BY id",
        "SELECT id, account_id, identifier, data_key_id, secrets FROM connector \
         WHERE secrets IS NOT NULL \
         ORDER BY id \
         FOR UPDATE",
    ));
    let rows = query.fetch_all(&mut **tx).await?;
    let count = rows.len();
    for row in rows {
        let context = seal_context(row.account_id, &row.identifier);
        let sealed = Sealed {
            data_key_id: row.data_key_id,
            bytes: row.secrets,
        };
        let sealed = engine.vault().seal_again(tx, &context, &sealed).await?;
        sqlx::query("UPDATE connector SET data_key_id = $2, secrets = $3 WHERE id = $1")
            .bind(row.id)
            .bind(sealed.data_key_id)
            .bind(sealed.bytes)
            .execute(&mut **tx)
            .await?;
    }
    Ok(count)
}
