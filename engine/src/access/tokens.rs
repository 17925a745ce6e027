//! API tokens.

use auditstream_model::{
    ApiToken, ApiTokenInput, Code, CreatedApiToken, EpochMillis, FieldErrors, Permission, Problem, TOKEN_PREFIX,
};
use serde_json::json;
use sqlx::FromRow;

use super::scopes::{Scopes, join};
use super::{DAY, MINUTE, digest, random_text, token_owners};
use crate::error::{Error, Result, on_duplicate};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const API_TOKEN: &str = "API_TOKEN";
/// How stale `last_used` may become, ms: most requests write nothing.
const LAST_USED_PRECISION: EpochMillis = MINUTE;

#[derive(FromRow)]
struct TokenRow {
    digest: Vec<u8>,
    id: String,
    name: String,
    #[sqlx(try_from = "String")]
    scopes: Scopes,
    created_by: String,
    created: EpochMillis,
    expires: Option<EpochMillis>,
    last_used: Option<EpochMillis>,
}

impl From<TokenRow> for ApiToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            scopes: row.scopes.0,
            created_by: row.created_by,
            created: row.created,
            expires: row.expires,
            last_used: row.last_used,
        }
    }
}

/// Returns the tokens of the actor's account without their secrets, newest first.
pub async fn tokens(engine: &Engine, actor: &Actor) -> Result<Vec<ApiToken>> {
    actor.require(Permission::EditAccess)?;
    let rows: Vec<TokenRow> = sqlx::query_as(
        "SELECT digest, id, name, scopes, created_by, created, expires, last_used FROM api_token WHERE account_id = $1 \
         ORDER BY created DESC, name",
    )
    .bind(actor.account_id())
    .fetch_all(engine.database().read())
    .await?;
    let noted = |row: &TokenRow| engine.last_uses().tokens.get(&row.digest);
    let token = |row: TokenRow| ApiToken {
        last_used: row.last_used.max(noted(&row)),
        ..ApiToken::from(row)
    };
    Ok(rows.into_iter().map(token).collect())
}

/// Creates a token of the actor's account. Its secret is not stored and cannot be shown again.
pub async fn create_token(engine: &Engine, actor: &Actor, input: &ApiTokenInput) -> Result<CreatedApiToken> {
    actor.require(Permission::EditAccess)?;
    let (name, scopes) = input.parse()?;
    let token = format!("{TOKEN_PREFIX}{}", random_text());
    let created = engine.database().clock().now();
    let api_token = ApiToken {
        id: format!("{:016x}", rand::random::<u64>()),
        name: name.as_str().to_owned(),
        created_by: actor.name().to_owned(),
        created,
        expires: input.expires_in_days.map(|days| created + i64::from(days) * DAY),
        last_used: None,
        scopes,
    };
    engine
        .database()
        .transaction("create_token", async |tx| {
            sqlx::query(
                "INSERT INTO api_token (digest, account_id, id, name, scopes, created_by, created, expires) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(digest(&token))
            .bind(actor.account_id())
            .bind(&api_token.id)
            .bind(&api_token.name)
            .bind(join(&api_token.scopes))
            .bind(&api_token.created_by)
            .bind(created)
            .bind(api_token.expires)
            .execute(&mut **tx)
            .await
            .map_err(|error| on_duplicate(error, || name_taken(&api_token.name)))?;
            let new = json!({"id": api_token.id, "scopes": api_token.scopes, "expires": api_token.expires});
            let change = Change::of(API_TOKEN, &api_token.name, "CREATE_TOKEN", (), new);
            record(tx, actor, change).await?;
            Ok(())
        })
        .await?;
    Ok(CreatedApiToken { token, api_token })
}

/// The refusal of a name that is in use: audit events identify a token by its name.
fn name_taken(name: &str) -> Error {
    let message = format!("There is already an API token with the name “{name}”.");
    let errors = FieldErrors::one("name", message.clone());
    Error::Refused(Box::new(
        Problem::new(Code::DuplicateField, message).with_errors(errors.0),
    ))
}

#[derive(FromRow)]
struct RevokedToken {
    name: String,
    #[sqlx(try_from = "String")]
    scopes: Scopes,
}

/// Revokes a token of the actor's account.
pub async fn revoke_token(engine: &Engine, actor: &Actor, id: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    engine
        .database()
        .transaction("revoke_token", async |tx| {
            let query = sqlx::query_as::<_, RevokedToken>(
                "DELETE FROM api_token WHERE account_id = $1 AND id = $2 RETURNING name, scopes",
            );
            let query = query.bind(actor.account_id()).bind(id);
            let revoked = query.fetch_optional(&mut **tx).await?;
            let revoked = revoked.ok_or_else(|| Error::not_found("API token", id))?;
            let old = json!({"id": id, "scopes": revoked.scopes.0});
            let change = Change::of(API_TOKEN, &revoked.name, "REVOKE_TOKEN", old, ());
            record(tx, actor, change).await?;
            Ok(())
        })
        .await
}

/// Returns the actor of a token; `None` if it is unknown, was revoked or has expired.
pub async fn token(engine: &Engine, token: &str) -> Result<Option<Actor>> {
    if !token.starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    let used_at = engine.database().clock().now();
    let digest = digest(token);
    let owner = token_owners::owner(engine, &digest).await?;
    let Some(owner) = owner.filter(|owner| owner.expires.is_none_or(|expires| expires > used_at)) else {
        return Ok(None);
    };
    if owner.last_used.is_none_or(|used| used_at - used > LAST_USED_PRECISION) {
        engine.last_uses().tokens.note(digest, used_at);
    }
    let (account, name, scopes) = (owner.account.clone(), owner.name.clone(), owner.scopes.0.clone());
    Ok(Some(Actor::token(owner.account_id, account, name, scopes)))
}
