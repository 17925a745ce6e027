//! API tokens.

use auditstream_model::{
    AccountName, ApiToken, ApiTokenInput, Code, CreatedApiToken, EpochMillis, FieldErrors, Permission, Problem, Scope,
    TOKEN_PREFIX,
};
use serde_json::json;

use super::{DAY, MINUTE, digest, random_text};
use crate::database::{now, retried};
use crate::error::{Error, Result, on_duplicate};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const KIND: &str = "API_TOKEN";
/// How stale `last_used` may be: a request does not write each time, ms.
const USED: EpochMillis = MINUTE;

type Row = (
    String,
    String,
    String,
    String,
    EpochMillis,
    Option<EpochMillis>,
    Option<EpochMillis>,
);

fn scopes(words: &str) -> Vec<Scope> {
    words.split(',').filter_map(|name| name.parse::<Scope>().ok()).collect()
}

fn view((id, name, words, created_by, created, expires, last_used): Row) -> ApiToken {
    ApiToken {
        id,
        name,
        scopes: scopes(&words),
        created_by,
        created,
        expires,
        last_used,
    }
}

/// The tokens of the actor's account, the newest first; without their secrets, which nobody has.
///
/// # Errors
/// No permission.
pub async fn tokens(engine: &Engine, actor: &Actor) -> Result<Vec<ApiToken>> {
    actor.require(Permission::EditAccess)?;
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, name, scopes, created_by, created, expires, last_used FROM api_token WHERE account_id = $1 \
         ORDER BY created DESC, name",
    )
    .bind(actor.account_id())
    .fetch_all(engine.database().read())
    .await?;
    Ok(rows.into_iter().map(view).collect())
}

/// Makes a token of the actor's account; answers it, the only time that it is shown.
///
/// # Errors
/// A bad name or one that is in use; no scope; no permission.
pub async fn create_token(engine: &Engine, actor: &Actor, input: &ApiTokenInput) -> Result<CreatedApiToken> {
    actor.require(Permission::EditAccess)?;
    let (name, scopes) = input.parse()?;
    let token = format!("{TOKEN_PREFIX}{}", random_text());
    let id: String = digest(&random_text())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let created = now();
    let made = ApiToken {
        id,
        name: name.as_str().to_owned(),
        created_by: actor.name().to_owned(),
        created,
        expires: input.expires_in_days.map(|days| created + i64::from(days) * DAY),
        last_used: None,
        scopes,
    };
    let words = made
        .scopes
        .iter()
        .map(|scope| scope.as_str())
        .collect::<Vec<_>>()
        .join(",");
    retried(|| async {
        let mut tx = engine.database().write().await?;
        sqlx::query(
            "INSERT INTO api_token (digest, account_id, id, name, scopes, created_by, created, expires) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(digest(&token))
        .bind(actor.account_id())
        .bind(&made.id)
        .bind(&made.name)
        .bind(&words)
        .bind(&made.created_by)
        .bind(created)
        .bind(made.expires)
        .execute(&mut *tx)
        .await
        .map_err(|error| on_duplicate(error, || name_taken(&made.name)))?;
        let new = json!({"id": made.id, "scopes": made.scopes, "expires": made.expires});
        record(&mut tx, actor, Change::of(KIND, &made.name, "CREATE_TOKEN", (), new)).await?;
        tx.commit().await
    })
    .await?;
    Ok(CreatedApiToken { token, api_token: made })
}

/// Audit events name a token by its name.
fn name_taken(name: &str) -> Error {
    let sentence = format!("There is already an API token with the name “{name}”.");
    let errors = FieldErrors::one("name", sentence.clone());
    Error::Refused(Box::new(
        Problem::new(Code::DuplicateField, sentence).with_errors(errors.0),
    ))
}

/// Ends a token of the actor's account.
///
/// # Errors
/// No such token; no permission.
pub async fn revoke_token(engine: &Engine, actor: &Actor, id: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let query = sqlx::query_as::<_, (String, String)>(
            "DELETE FROM api_token WHERE account_id = $1 AND id = $2 RETURNING name, scopes",
        );
        let gone = query.bind(actor.account_id()).bind(id).fetch_optional(&mut *tx).await?;
        let (name, words) = gone.ok_or_else(|| Error::not_found("API token", id))?;
        let old = json!({"id": id, "scopes": scopes(&words)});
        record(&mut tx, actor, Change::of(KIND, &name, "REVOKE_TOKEN", old, ())).await?;
        tx.commit().await
    })
    .await
}

/// Who has this token; none when it is unknown, revoked or its time is over.
///
/// # Errors
/// When the database fails.
pub async fn token(engine: &Engine, token: &str) -> Result<Option<Actor>> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let moment = now();
    let found: Option<(i64, String, String, String, Option<EpochMillis>)> = sqlx::query_as(
        "SELECT t.account_id, a.name, t.name, t.scopes, t.last_used FROM api_token t JOIN account a ON a.id = t.account_id \
         WHERE t.digest = $1 AND (t.expires IS NULL OR t.expires > $2)",
    )
    .bind(digest(token))
    .bind(moment)
    .fetch_optional(engine.database().read())
    .await?;
    let Some((account_id, account, name, words, last_used)) = found else {
        return Ok(None);
    };
    if last_used.is_none_or(|used| moment - used > USED)
        && let Err(error) = touch(engine, token, moment).await
    {
        // A token is good while nothing can be written.
        tracing::debug!(%error, "a token's last use could not be noted");
    }
    let account = AccountName::try_from(account).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Some(Actor::token(account_id, account, name, scopes(&words))))
}

async fn touch(engine: &Engine, token: &str, moment: EpochMillis) -> Result<()> {
    let mut tx = engine.database().write().await?;
    sqlx::query("UPDATE api_token SET last_used = $2 WHERE digest = $1")
        .bind(digest(token))
        .bind(moment)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
