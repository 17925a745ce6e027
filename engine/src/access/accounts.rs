//! Accounts, the tenants of an installation.

use auditstream_model::{AccountName, Code};

use crate::continuity;
use crate::database::now;
use crate::error::{Error, Result, on_duplicate};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Creates an account.
pub async fn create_account(engine: &Engine, name: &AccountName) -> Result<()> {
    engine
        .database()
        .transaction("create_account", async |tx| {
            let id =
                sqlx::query_scalar("INSERT INTO account (name, external_id, created) VALUES ($1, $2, $3) RETURNING id")
                    .bind(name.as_str())
                    .bind(super::random_text())
                    .bind(now())
                    .fetch_one(&mut **tx)
                    .await
                    .map_err(|error| on_duplicate(error, || Error::duplicate("account", name.as_str())))?;
            continuity::skip_lost_numbers(tx, id, name.as_str()).await?;
            let actor = Actor::system(id, name.clone());
            let change = Change::of("ACCOUNT", name.as_str(), "CREATE", (), ());
            record(tx, &actor, change).await
        })
        .await?;
    Ok(())
}

impl Actor {
    /// Returns the operator of the binary, acting in an account.
    pub async fn command_line(engine: &Engine, account: &AccountName) -> Result<Self> {
        Ok(Self::operator(account_id(engine, account).await?, account.clone()))
    }
}

pub(super) async fn account_id(engine: &Engine, name: &AccountName) -> Result<i64> {
    let query = sqlx::query_scalar("SELECT id FROM account WHERE name = $1").bind(name.as_str());
    let found = query.fetch_optional(engine.database().read()).await?;
    found.ok_or_else(|| {
        Error::refused(
            Code::NotFound,
            format!("There is no account “{name}”. Create it with: auditstream account create {name}"),
        )
    })
}
