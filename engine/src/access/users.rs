//! People and their passwords.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};
use auditstream_model::limits::{MAX_PASSWORD_CHARS, PASSWORD_CHARS};
use auditstream_model::{Code, FieldErrors, Permission, Role};

use crate::error::{Error, Result, on_duplicate};
use crate::store::{WriteTx, now, retried};
use crate::trail::own::{Change, record};
use crate::{Actor, Engine};

/// Whether anybody can sign in.
///
/// # Errors
/// When the database fails.
pub async fn has_users(engine: &Engine) -> Result<bool> {
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM console_user")
        .fetch_one(engine.store().read())
        .await?;
    Ok(users > 0)
}

/// Makes a person of the actor's account.
///
/// # Errors
/// A bad address or password; an address that is in use.
pub async fn create_user(engine: &Engine, actor: &Actor, email: &str, role: Role, password: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let hash = hash_password(password.to_owned()).await?;
    retried(|| async {
        let mut tx = engine.store().write().await?;
        insert(&mut tx, actor, &email, role, &hash).await?;
        tx.commit().await
    })
    .await
}

/// Gives a person of the actor's account a new password, and ends their sessions.
///
/// # Errors
/// A bad password; no such person.
pub async fn reset_password(engine: &Engine, actor: &Actor, email: &str, password: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let hash = hash_password(password.to_owned()).await?;
    retried(|| async {
        let mut tx = engine.store().write().await?;
        let user: Option<i64> = sqlx::query_scalar(
            "UPDATE console_user SET password_hash = $3 WHERE account_id = $1 AND email = $2 RETURNING id",
        )
        .bind(actor.account_id())
        .bind(&email)
        .bind(&hash)
        .fetch_optional(&mut *tx)
        .await?;
        let user = user.ok_or_else(|| Error::not_found("user", &email))?;
        sqlx::query("DELETE FROM session WHERE user_id = $1")
            .bind(user)
            .execute(&mut *tx)
            .await?;
        let new = serde_json::json!({"password": "changed"});
        record(&mut tx, actor, Change::of("USER", &email, "UPDATE", (), new)).await?;
        tx.commit().await
    })
    .await
}

pub(super) async fn insert(tx: &mut WriteTx, actor: &Actor, email: &str, role: Role, hash: &str) -> Result<()> {
    sqlx::query(
        "INSERT INTO console_user (account_id, email, role, password_hash, created) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(actor.account_id())
    .bind(email)
    .bind(role.word())
    .bind(hash)
    .bind(now())
    .execute(&mut **tx)
    .await
    .map_err(|error| {
        on_duplicate(error, || {
            Error::refused(
                Code::DuplicateField,
                format!("There is already a user with the address {email}."),
            )
        })
    })?;
    record(
        tx,
        actor,
        Change::of(
            "USER",
            email,
            "CREATE",
            (),
            serde_json::json!({"email": email, "role": role}),
        ),
    )
    .await?;
    Ok(())
}

/// An address in the one form that is compared: trimmed, lower case.
pub(super) fn parse_email(text: &str) -> Result<String> {
    let email = text.trim().to_lowercase();
    let whole = email
        .split_once('@')
        .is_some_and(|(local, host)| !local.is_empty() && host.len() > 2 && !host.contains('@'));
    if whole && email.len() <= 254 && !email.contains(char::is_whitespace) && !email.contains(char::is_control) {
        return Ok(email);
    }
    Err(FieldErrors::one("email", "An e-mail address looks like ann@example.com.").into())
}

/// argon2id with the crate's parameters (OWASP's first choice: 19 MiB, 2 passes), off the threads that serve requests.
pub(super) async fn hash_password(password: String) -> Result<String> {
    if !(PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        let sentence = format!("A password has {PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters.");
        return Err(FieldErrors::one("password", sentence).into());
    }
    let hashed = tokio::task::spawn_blocking(move || {
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
    })
    .await;
    hashed
        .map_err(|error| Error::Broken(error.to_string()))?
        .map_err(|error| Error::Broken(format!("a password cannot be hashed: {error}")))
}

/// Whether a password is the one of a hash. Takes as long without a hash, so that time does not tell who is a user.
pub(super) async fn verify_password(hash: Option<String>, password: String) -> Result<bool> {
    let verify = move || {
        let Some(hash) = hash else {
            let _ = Argon2::default().hash_password(password.as_bytes());
            return false;
        };
        PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    };
    tokio::task::spawn_blocking(verify)
        .await
        .map_err(|error| Error::Broken(error.to_string()))
}
