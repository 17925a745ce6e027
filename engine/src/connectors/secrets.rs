//! A connector's secrets: sealed in the database, opened only for those who talk to AWS.

use auditstream_model::{Connector, Credentials, Secrets};
use sha2::{Digest, Sha256};

use super::rows::{account, find};
use crate::Engine;
use crate::database::WriteTx;
use crate::error::Result;
use crate::vault::Sealed;

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
    let Some(row) = find(engine.database().read(), account_id, identifier).await? else {
        return Ok(None);
    };
    let (account, external_id) = account(engine.database().read(), account_id).await?;
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
                .open_sealed(engine.database().read(), &place, sealed)
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

/// What sealed secrets are bound to: they open as those of no other connector.
fn place(account_id: i64, identifier: &str) -> String {
    format!("connector {account_id} {identifier}")
}

/// Seals the secrets of a connector, if there are any, under the newest data key.
pub(super) async fn seal(
    engine: &Engine,
    tx: &mut WriteTx,
    account_id: i64,
    identifier: &str,
    secrets: Option<&Secrets>,
) -> Result<Option<Sealed>> {
    let Some(secrets) = secrets else { return Ok(None) };
    let place = place(account_id, identifier);
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
