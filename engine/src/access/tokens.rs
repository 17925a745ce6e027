//! API tokens.

use auditstream_model::{AccountName, FieldErrors, Name, Permission, Scope};

use super::{digest, random_text};
use crate::error::{Error, Result};
use crate::store::{now, retried};
use crate::trail::own::{Change, record};
use crate::{Actor, Engine};

/// What every token begins with, so that secret scanners know it.
const MARK: &str = "auditstream_";

/// Makes a token of the actor's account; answers it, the only time that it is shown.
///
/// # Errors
/// A bad name; no scope.
pub async fn create_token(engine: &Engine, actor: &Actor, name: &str, scopes: &[Scope]) -> Result<String> {
    actor.require(Permission::EditAccess)?;
    let name = Name::parse(name).map_err(|error| FieldErrors::one("name", error.to_string()))?;
    if scopes.is_empty() {
        return Err(FieldErrors::one("scope", "A token needs at least one scope of ingest, read, admin.").into());
    }
    let token = format!("{MARK}{}", random_text());
    let words = scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(",");
    retried(|| async {
        let mut tx = engine.store().write().await?;
        sqlx::query("INSERT INTO api_token (digest, account_id, name, scopes, created) VALUES ($1, $2, $3, $4, $5)")
            .bind(digest(&token))
            .bind(actor.account_id())
            .bind(name.as_str())
            .bind(&words)
            .bind(now())
            .execute(&mut *tx)
            .await?;
        let new = serde_json::json!({"scopes": words});
        let change = Change::of("API_TOKEN", name.as_str(), "CREATE_TOKEN", (), new);
        record(&mut tx, actor, change).await?;
        tx.commit().await
    })
    .await?;
    Ok(token)
}

/// Who has this token; none when it is unknown.
///
/// # Errors
/// When the database fails.
pub async fn token(engine: &Engine, token: &str) -> Result<Option<Actor>> {
    if !token.starts_with(MARK) {
        return Ok(None);
    }
    let found: Option<(i64, String, String, String)> =
        sqlx::query_as("SELECT t.account_id, a.name, t.name, t.scopes FROM api_token t JOIN account a ON a.id = t.account_id WHERE t.digest = $1")
            .bind(digest(token))
            .fetch_optional(engine.store().read())
            .await?;
    let Some((account_id, account, name, scopes)) = found else {
        return Ok(None);
    };
    let account = AccountName::try_from(account).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Some(Actor::token(
        account_id,
        account,
        name,
        scopes.split(',').filter_map(Scope::from_word).collect(),
    )))
}
