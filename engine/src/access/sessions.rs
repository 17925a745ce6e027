//! Signing in and out, and the user of a session.

use auditstream_model::{AccountName, Code, EpochMillis, FieldErrors, Permission, Role};
use serde_json::json;
use sqlx::FromRow;

use super::credentials::{verify, wrong_credentials};
use super::email::parse_email;
use super::rows::{USER, set_password, user_id};
use super::{DAY, FUTURE, HOUR, MINUTE, digest, passwords, random_text};
use crate::database::WriteTx;
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// How long a session lasts without use, ms.
const IDLE_LIMIT: EpochMillis = 12 * HOUR;
/// How long a session lasts at most, ms.
const ABSOLUTE_LIMIT: EpochMillis = 7 * DAY;
/// How stale `seen` may become, ms: most requests write nothing.
const SEEN_PRECISION: EpochMillis = MINUTE;

/// Checks a password and starts a session, which replaces the browser's `previous` one. Returns the
/// value of its cookie.
///
/// # Errors
/// As [`sign_in_to`].
pub async fn sign_in(
    engine: &Engine,
    email: &str,
    password: &str,
    previous: Option<&str>,
    client_ip: &str,
) -> Result<String> {
    sign_in_to(engine, None, email, password, previous, client_ip).await
}

/// Signs in to an account; without one, to the account whose user has this e-mail address and
/// password.
///
/// # Errors
/// [`Code::WrongCredentials`], the same whether the address, the account or the password is wrong;
/// [`Code::ChooseAccount`] if several accounts have a user with this address and password;
/// [`Code::Throttled`] after too many attempts.
///
/// The attempt is recorded even if the caller is dropped.
pub async fn sign_in_to(
    engine: &Engine,
    account: Option<&str>,
    email: &str,
    password: &str,
    previous: Option<&str>,
    client_ip: &str,
) -> Result<String> {
    let email = parse_email(email).map_err(|_| wrong_credentials())?;
    let account = account.map(str::trim).filter(|account| !account.is_empty());
    let verified = verify(
        engine,
        account.map(str::to_owned),
        email.clone(),
        password.to_owned(),
        client_ip.to_owned(),
    );
    let verified = verified.await?;
    let cookie = random_text();
    engine
        .database()
        .transaction("sign_in", async |tx| {
            verified.lock(tx).await?;
            verified.attempt.succeeded(tx, verified.user_id).await?;
            let now = tx.now();
            sqlx::query("DELETE FROM session WHERE digest = $1 OR expires < $2 OR seen < $3 OR created > $4")
                .bind(digest(previous.unwrap_or_default()))
                .bind(now)
                .bind(now - IDLE_LIMIT)
                .bind(now + FUTURE)
                .execute(&mut **tx)
                .await?;
            insert_session(tx, verified.user_id, &cookie).await?;
            record(tx, &verified.actor, Change::of(USER, &email, "LOGIN", (), ())).await?;
            Ok(())
        })
        .await?;
    Ok(cookie)
}

async fn insert_session(tx: &mut WriteTx, user_id: i64, cookie: &str) -> Result<()> {
    let now = tx.now();
    sqlx::query("INSERT INTO session (digest, user_id, created, seen, expires) VALUES ($1, $2, $3, $3, $4)")
        .bind(digest(cookie))
        .bind(user_id)
        .bind(now)
        .bind(now + ABSOLUTE_LIMIT)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The origin of a request in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// An action of a person.
    Person,
    /// Polling by an open page, whether anyone looks at it or not.
    Page,
}

#[derive(FromRow)]
struct SessionRow {
    account_id: i64,
    #[sqlx(try_from = "String")]
    account: AccountName,
    email: String,
    #[sqlx(try_from = "String")]
    role: Role,
    seen: EpochMillis,
}

/// Returns the user of a session; `None` if it is unknown or has ended. A person's requests keep
/// the session alive, polling does not.
pub async fn session(engine: &Engine, cookie: &str, used_by: UsedBy) -> Result<Option<Actor>> {
    let used_at = engine.database().clock().now();
    let digest = digest(cookie);
    // A use that is not stored yet, a moment ago, keeps the session alive.
    let noted = engine.last_uses().sessions.get(&digest);
    let row: Option<SessionRow> = sqlx::query_as(
        "SELECT u.account_id, a.name AS account, u.email, u.role, s.seen FROM session s \
         JOIN console_user u ON u.id = s.user_id JOIN account a ON a.id = u.account_id \
         WHERE s.digest = $1 AND s.expires > $2 AND s.created <= $5 \
         AND ((s.seen > $3 AND s.seen <= $5) OR ($4 > $3 AND $4 <= $5))",
    )
    .bind(&digest)
    .bind(used_at)
    .bind(used_at - IDLE_LIMIT)
    .bind(noted.unwrap_or_default())
    .bind(used_at + FUTURE)
    .fetch_optional(engine.database().read())
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    if used_by == UsedBy::Person && used_at - row.seen > SEEN_PRECISION {
        engine.last_uses().sessions.note(digest, used_at);
    }
    Ok(Some(Actor::person(row.account_id, row.account, row.email, row.role)))
}

/// Ends the session of a cookie.
pub async fn sign_out(engine: &Engine, actor: &Actor, cookie: &str) -> Result<()> {
    let Some(email) = actor.email() else { return Ok(()) };
    engine
        .database()
        .transaction("sign_out", async |tx| {
            let deleted = sqlx::query("DELETE FROM session WHERE digest = $1")
                .bind(digest(cookie))
                .execute(&mut **tx)
                .await?;
            if deleted.rows_affected() > 0 {
                record(tx, actor, Change::of(USER, email, "LOGOUT", (), ())).await?;
            }
            Ok(())
        })
        .await
}

/// Ends every session of a user: of the actor, or, with [`Permission::EditAccess`], of another user
/// of the account.
pub async fn sign_out_everywhere(engine: &Engine, actor: &Actor, email: &str) -> Result<()> {
    let email = parse_email(email)?;
    if actor.email() != Some(&email) {
        actor.require(Permission::EditAccess)?;
    }
    engine
        .database()
        .transaction("sign_out_everywhere", async |tx| {
            let user = user_id(tx, actor.account_id(), &email).await?;
            let user = user.ok_or_else(|| Error::not_found("user", &email))?;
            let deleted = sqlx::query("DELETE FROM session WHERE user_id = $1")
                .bind(user)
                .execute(&mut **tx)
                .await?;
            let old = json!({"sessions": deleted.rows_affected()});
            let change = Change::of(USER, &email, "LOGOUT", old, json!({"sessions": 0}));
            record(tx, actor, change).await?;
            Ok(())
        })
        .await
}

/// Changes the actor's password and ends every session of the actor. Returns the cookie of a new
/// one.
pub async fn change_password(
    engine: &Engine,
    actor: &Actor,
    current: &str,
    new: &str,
    client_ip: &str,
) -> Result<String> {
    let Some(email) = actor.email() else {
        return Err(Error::refused(
            Code::Forbidden,
            "Only users have a password. Sign in as a user.",
        ));
    };
    passwords::check_length(new)?;
    let account = Some(actor.account().as_str().to_owned());
    let verified = verify(
        engine,
        account,
        email.to_owned(),
        current.to_owned(),
        client_ip.to_owned(),
    )
    .await
    .map_err(|error| match error {
        Error::Refused(problem) if problem.code == Code::WrongCredentials => {
            FieldErrors::one("current", "This is not your current password.").into()
        }
        other => other,
    })?;
    let hash = passwords::hash(new.to_owned()).await?;
    let cookie = random_text();
    engine
        .database()
        .transaction("change_password", async |tx| {
            verified.lock(tx).await?;
            verified.attempt.succeeded(tx, verified.user_id).await?;
            set_password(tx, actor, email, &hash).await?;
            insert_session(tx, verified.user_id, &cookie).await
        })
        .await?;
    Ok(cookie)
}
