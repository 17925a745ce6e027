//! Sign-in, and who is signed in.

use auditstream_model::{AccountName, Code, EpochMillis, Permission};
use serde_json::json;

use super::throttle::{Attempt, THROTTLED_FOR};
use super::users::{self, KIND, parse_email};
use super::{DAY, HOUR, MINUTE, digest, passwords, random_text};
use crate::database::{WriteTx, now, retried};
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// A session ends when it was not used for so long, ms.
const IDLE: EpochMillis = 12 * HOUR;
/// A session ends however much it is used, ms.
const ABSOLUTE: EpochMillis = 7 * DAY;
/// How stale `seen` may be: reading a page does not write each time, ms.
const SEEN: EpochMillis = MINUTE;

fn wrong() -> Error {
    Error::refused(Code::WrongCredentials, "The e-mail or the password is wrong.")
}

/// Checks a password and begins a session; answers what goes into the cookie. The session that the browser had before,
/// if any, ends.
///
/// # Errors
/// [`Code::WrongCredentials`], the same whether the address or the password is wrong; [`Code::Throttled`] after too many
/// attempts.
pub async fn sign_in(
    engine: &Engine,
    email: &str,
    password: &str,
    before: Option<&str>,
    client_ip: &str,
) -> Result<String> {
    let email = parse_email(email).map_err(|_| wrong())?;
    let checked = check(engine, &email, password, client_ip).await?;
    let (user_id, cookie) = (checked.user_id, random_text());
    retried(|| async {
        let mut tx = engine.database().write().await?;
        checked.hold(&mut tx).await?;
        checked.attempt.succeeded(&mut tx, user_id).await?;
        sqlx::query("DELETE FROM session WHERE digest = $1 OR expires < $2 OR seen < $3")
            .bind(digest(before.unwrap_or_default()))
            .bind(now())
            .bind(now() - IDLE)
            .execute(&mut *tx)
            .await?;
        begin(&mut tx, user_id, &cookie).await?;
        record(&mut tx, &checked.actor, Change::of(KIND, &email, "LOGIN", (), ())).await?;
        tx.commit().await
    })
    .await?;
    Ok(cookie)
}

/// Whose password it is. A wrong one of a person who exists is an audit event; for others something else is written, so that
/// neither the answer nor its time tells who exists.
async fn check(engine: &Engine, email: &str, password: &str, client_ip: &str) -> Result<Checked> {
    let found: Option<(i64, i64, String, String, String)> = sqlx::query_as(
        "SELECT u.id, u.account_id, a.name, u.role, u.password_hash FROM console_user u \
         JOIN account a ON a.id = u.account_id WHERE u.email = $1",
    )
    .bind(email)
    .fetch_optional(engine.database().read())
    .await?;
    let user_id = found.as_ref().map(|user| user.0);
    let mut attempt = Attempt::new(email, client_ip);
    let last = attempt.count(engine, user_id).await?;
    let hash = found.as_ref().map(|user| user.4.clone());
    let right = passwords::verify(hash, password).await?;
    let Some((user_id, account_id, account, role, hash)) = found else {
        attempt.write_again(engine).await?;
        return Err(wrong());
    };
    let actor = actor(account_id, account, email, &role)?.with_request("POST", client_ip);
    if right {
        return Ok(Checked {
            user_id,
            actor,
            hash,
            attempt,
        });
    }
    let mut new = json!({"reason": "wrong password"});
    if last {
        new["further_attempts_refused_for_minutes"] = (THROTTLED_FOR / MINUTE).into();
    }
    retried(|| async {
        let mut tx = engine.database().write().await?;
        record(&mut tx, &actor, Change::of(KIND, email, "UNSUCCESSFUL_LOGIN", (), &new)).await?;
        tx.commit().await
    })
    .await?;
    Err(wrong())
}

/// A person whose password was right when it was looked at.
struct Checked {
    user_id: i64,
    actor: Actor,
    /// What the password was checked against.
    hash: String,
    attempt: Attempt,
}

impl Checked {
    /// The person, with this password still, until the transaction ends: checking takes its time, and meanwhile the password
    /// may have been reset or the person removed.
    async fn hold(&self, tx: &mut WriteTx) -> Result<()> {
        let still = sqlx::query("UPDATE console_user SET last_sign_in = $2 WHERE id = $1 AND password_hash = $3")
            .bind(self.user_id)
            .bind(now())
            .bind(&self.hash)
            .execute(&mut **tx)
            .await?;
        if still.rows_affected() == 1 {
            Ok(())
        } else {
            Err(wrong())
        }
    }
}

async fn begin(tx: &mut WriteTx, user_id: i64, cookie: &str) -> Result<()> {
    sqlx::query("INSERT INTO session (digest, user_id, created, seen, expires) VALUES ($1, $2, $3, $3, $4)")
        .bind(digest(cookie))
        .bind(user_id)
        .bind(now())
        .bind(now() + ABSOLUTE)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Who uses a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// Somebody who does something.
    Person,
    /// A page that is open and asks by itself, whether anybody looks at it or not.
    Page,
}

/// Who has this cookie; none when the session is unknown or has ended. What a person does keeps it from ending for want of
/// use.
///
/// # Errors
/// When the database fails.
pub async fn session(engine: &Engine, cookie: &str, used_by: UsedBy) -> Result<Option<Actor>> {
    let moment = now();
    let found: Option<(i64, String, String, String, EpochMillis)> = sqlx::query_as(
        "SELECT u.account_id, a.name, u.email, u.role, s.seen FROM session s JOIN console_user u ON u.id = s.user_id \
         JOIN account a ON a.id = u.account_id WHERE s.digest = $1 AND s.expires > $2 AND s.seen > $3",
    )
    .bind(digest(cookie))
    .bind(moment)
    .bind(moment - IDLE)
    .fetch_optional(engine.database().read())
    .await?;
    let Some((account_id, account, email, role, seen)) = found else {
        return Ok(None);
    };
    if used_by == UsedBy::Person
        && moment - seen > SEEN
        && let Err(error) = touch(engine, cookie, moment).await
    {
        // Reading goes on while nothing can be written.
        tracing::debug!(%error, "a session's last use could not be noted");
    }
    actor(account_id, account, &email, &role).map(Some)
}

async fn touch(engine: &Engine, cookie: &str, moment: EpochMillis) -> Result<()> {
    let mut tx = engine.database().write().await?;
    sqlx::query("UPDATE session SET seen = $2 WHERE digest = $1")
        .bind(digest(cookie))
        .bind(moment)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Ends the session of a cookie.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(engine: &Engine, actor: &Actor, cookie: &str) -> Result<()> {
    let Some(email) = actor.email() else { return Ok(()) };
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let ended = sqlx::query("DELETE FROM session WHERE digest = $1")
            .bind(digest(cookie))
            .execute(&mut *tx)
            .await?;
        if ended.rows_affected() > 0 {
            record(&mut tx, actor, Change::of(KIND, email, "LOGOUT", (), ())).await?;
        }
        tx.commit().await
    })
    .await
}

/// Ends every session of a person: one's own, or with the permission those of somebody of the account.
///
/// # Errors
/// No such person; no permission.
pub async fn sign_out_everywhere(engine: &Engine, actor: &Actor, email: &str) -> Result<()> {
    let email = parse_email(email)?;
    if actor.email() != Some(&email) {
        actor.require(Permission::EditAccess)?;
    }
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let user: Option<i64> = sqlx::query_scalar("SELECT id FROM console_user WHERE account_id = $1 AND email = $2")
            .bind(actor.account_id())
            .bind(&email)
            .fetch_optional(&mut *tx)
            .await?;
        let user = user.ok_or_else(|| Error::not_found("user", &email))?;
        let ended = sqlx::query("DELETE FROM session WHERE user_id = $1")
            .bind(user)
            .execute(&mut *tx)
            .await?;
        let old = json!({"sessions": ended.rows_affected()});
        let change = Change::of(KIND, &email, "LOGOUT", old, json!({"sessions": 0}));
        record(&mut tx, actor, change).await?;
        tx.commit().await
    })
    .await
}

/// Changes the actor's own password. Every session of theirs ends; answers the cookie of the one that begins.
///
/// # Errors
/// The current password is wrong, or was guessed at too often; a bad new one.
pub async fn change_password(
    engine: &Engine,
    actor: &Actor,
    current: &str,
    new: &str,
    client_ip: &str,
) -> Result<String> {
    let Some(email) = actor.email() else {
        return Err(Error::refused(Code::Forbidden, "Only a person has a password."));
    };
    passwords::check_length(new)?;
    let checked = check(engine, email, current, client_ip)
        .await
        .map_err(|error| match error {
            Error::Refused(problem) if problem.code == Code::WrongCredentials => {
                auditstream_model::FieldErrors::one("current", "This is not your current password.").into()
            }
            other => other,
        })?;
    let hash = passwords::hash(new.to_owned()).await?;
    let cookie = random_text();
    retried(|| async {
        let mut tx = engine.database().write().await?;
        checked.hold(&mut tx).await?;
        checked.attempt.succeeded(&mut tx, checked.user_id).await?;
        users::set_password(&mut tx, actor, email, &hash).await?;
        begin(&mut tx, checked.user_id, &cookie).await?;
        tx.commit().await
    })
    .await?;
    Ok(cookie)
}

fn actor(account_id: i64, account: String, email: &str, role: &str) -> Result<Actor> {
    let account = AccountName::try_from(account).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(Actor::person(account_id, account, email.to_owned(), users::role(role)?))
}
