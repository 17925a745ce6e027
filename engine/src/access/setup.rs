//! The one-time link that makes the first admin.

use auditstream_model::{AccountName, Code, Role};

use super::users::{hash_password, insert, parse_email};
use super::{account_id, digest, random_text};
use crate::error::{Error, Result};
use crate::store::{now, retried};
use crate::{Actor, Engine};

/// How long a link is good, ms.
const GOOD_FOR: i64 = 3_600_000;

/// Makes a link's token; those made before end with it.
///
/// # Errors
/// When the database fails.
pub async fn setup_link(engine: &Engine) -> Result<String> {
    let token = random_text();
    let mut tx = engine.store().write().await?;
    sqlx::query("DELETE FROM setup_link").execute(&mut *tx).await?;
    let insert = sqlx::query("INSERT INTO setup_link (digest, expires) VALUES ($1, $2)");
    insert
        .bind(digest(&token))
        .bind(now() + GOOD_FOR)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(token)
}

/// Whether a link can still be used.
///
/// # Errors
/// When the database fails.
pub async fn setup_link_valid(engine: &Engine, token: &str) -> Result<bool> {
    let query = sqlx::query_scalar("SELECT count(*) FROM setup_link WHERE digest = $1 AND expires > $2");
    let found: i64 = query
        .bind(digest(token))
        .bind(now())
        .fetch_one(engine.store().read())
        .await?;
    Ok(found > 0)
}

/// Uses a link up and makes the first admin of the default account.
///
/// # Errors
/// A link that is used up or too old; a bad address or password, after which the link is still good.
pub async fn redeem_setup_link(engine: &Engine, token: &str, email: &str, password: &str) -> Result<()> {
    let email = parse_email(email)?;
    let hash = hash_password(password.to_owned()).await?;
    let account = AccountName::default_account();
    let actor = Actor::person(account_id(engine, &account).await?, account, email.clone(), Role::Admin);
    retried(|| async {
        let mut tx = engine.store().write().await?;
        let query = sqlx::query("DELETE FROM setup_link WHERE digest = $1 AND expires > $2");
        let used = query.bind(digest(token)).bind(now()).execute(&mut *tx).await?;
        if used.rows_affected() != 1 {
            return Err(Error::refused(
                Code::NotFound,
                "This link has been used or is more than an hour old. Start the server again for a new one.",
            ));
        }
        insert(&mut tx, &actor, &email, Role::Admin, &hash).await?;
        tx.commit().await
    })
    .await
}
