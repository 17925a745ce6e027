//! Sign-in, and who is signed in.

use auditstream_model::{AccountName, Code, Role};

use super::users::{parse_email, verify_password};
use super::{digest, random_text};
use crate::error::{Error, Result};
use crate::store::{now, retried};
use crate::trail::own::{Change, record};
use crate::{Actor, Engine};

const HOUR: i64 = 3_600_000;
/// A session ends when it was not used for so long, ms.
const IDLE: i64 = 12 * HOUR;
/// A session ends however much it is used, ms.
const ABSOLUTE: i64 = 7 * 24 * HOUR;
/// How stale `seen` may be: reading a page does not write each time, ms.
const SEEN: i64 = 60_000;

/// Checks a password and begins a session; answers what goes into the cookie.
///
/// # Errors
/// [`Code::WrongCredentials`], the same whether the address or the password is wrong.
pub async fn sign_in(engine: &Engine, email: &str, password: &str, client_ip: &str) -> Result<String> {
    let wrong = || Error::refused(Code::WrongCredentials, "E-mail or password are wrong.");
    let email = parse_email(email).map_err(|_| wrong())?;
    let found: Option<(i64, i64, String, String, String)> = sqlx::query_as(
        "SELECT u.id, u.account_id, a.name, u.role, u.password_hash FROM console_user u JOIN account a ON a.id = u.account_id WHERE u.email = $1",
    )
    .bind(&email)
    .fetch_optional(engine.store().read())
    .await?;
    let hash = found.as_ref().map(|user| user.4.clone());
    let right = verify_password(hash, password.chars().take(1024).collect()).await?;
    let Some((user_id, account_id, account, role, _)) = found else {
        return Err(wrong());
    };
    let actor = actor(account_id, account, &email, &role)?.with_request("POST", client_ip);
    let cookie = random_text();
    retried(|| async {
        let mut tx = engine.store().write().await?;
        if right {
            sqlx::query("DELETE FROM session WHERE expires < $1")
                .bind(now())
                .execute(&mut *tx)
                .await?;
            sqlx::query("INSERT INTO session (digest, user_id, created, seen, expires) VALUES ($1, $2, $3, $3, $4)")
                .bind(digest(&cookie))
                .bind(user_id)
                .bind(now())
                .bind(now() + ABSOLUTE)
                .execute(&mut *tx)
                .await?;
        }
        let action = if right { "LOGIN" } else { "UNSUCCESSFUL_LOGIN" };
        record(&mut tx, &actor, Change::of("USER", &email, action, (), ())).await?;
        tx.commit().await
    })
    .await?;
    if right { Ok(cookie) } else { Err(wrong()) }
}

/// Who has this cookie; none when the session is unknown or has ended.
///
/// # Errors
/// When the database fails.
pub async fn session(engine: &Engine, cookie: &str) -> Result<Option<Actor>> {
    let moment = now();
    let found: Option<(i64, String, String, String, i64)> = sqlx::query_as(
        "SELECT u.account_id, a.name, u.email, u.role, s.seen FROM session s JOIN console_user u ON u.id = s.user_id \
         JOIN account a ON a.id = u.account_id WHERE s.digest = $1 AND s.expires > $2 AND s.seen > $3",
    )
    .bind(digest(cookie))
    .bind(moment)
    .bind(moment - IDLE)
    .fetch_optional(engine.store().read())
    .await?;
    let Some((account_id, account, email, role, seen)) = found else {
        return Ok(None);
    };
    if moment - seen > SEEN {
        let mut tx = engine.store().write().await?;
        sqlx::query("UPDATE session SET seen = $2 WHERE digest = $1")
            .bind(digest(cookie))
            .bind(moment)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    actor(account_id, account, &email, &role).map(Some)
}

/// Ends the session of a cookie.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(engine: &Engine, cookie: &str) -> Result<()> {
    let mut tx = engine.store().write().await?;
    sqlx::query("DELETE FROM session WHERE digest = $1")
        .bind(digest(cookie))
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

fn actor(account_id: i64, account: String, email: &str, role: &str) -> Result<Actor> {
    let account = AccountName::try_from(account).map_err(|error| Error::Broken(error.to_string()))?;
    let role = Role::from_word(role).ok_or_else(|| Error::Broken(format!("unknown role {role}")))?;
    Ok(Actor::person(account_id, account, email.to_owned(), role))
}
