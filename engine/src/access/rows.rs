//! Statements that users, sessions and one-time links share.

use auditstream_model::{Code, Role};
use serde_json::json;

use super::throttle::clear_attempts;
use crate::Actor;
use crate::database::WriteTx;
use crate::error::{Error, Result, on_duplicate};
use crate::trail::self_audit::{Change, record};

pub(super) const USER: &str = "USER";

pub(super) async fn user_id(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<Option<i64>> {
    let query = sqlx::query_scalar("SELECT id FROM console_user WHERE account_id = $1 AND email = $2");
    Ok(query.bind(account_id).bind(email).fetch_optional(&mut **tx).await?)
}

/// Inserts a user into the actor's account, and deletes their invitation and the link of the first
/// admin. Fails with [`Code::DuplicateField`] if the account has such a user.
pub(super) async fn insert_user(tx: &mut WriteTx, actor: &Actor, email: &str, role: Role, hash: &str) -> Result<()> {
    delete_link_to(tx, actor.account_id(), email).await?;
    // The link of the first admin has no address.
    delete_link_to(tx, actor.account_id(), "").await?;
    let now = tx.now();
    sqlx::query(
        "INSERT INTO console_user (account_id, email, role, password_hash, created) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(actor.account_id())
    .bind(email)
    .bind(role.as_str())
    .bind(hash)
    .bind(now)
    .execute(&mut **tx)
    .await
    .map_err(|error| on_duplicate(error, || email_taken(email)))?;
    let new = json!({"email": email, "role": role});
    record(tx, actor, Change::of(USER, email, "CREATE", (), new)).await?;
    Ok(())
}

pub(super) async fn set_password(tx: &mut WriteTx, actor: &Actor, email: &str, hash: &str) -> Result<()> {
    let user: Option<i64> = sqlx::query_scalar(
        "UPDATE console_user SET password_hash = $3 WHERE account_id = $1 AND email = $2 RETURNING id",
    )
    .bind(actor.account_id())
    .bind(email)
    .bind(hash)
    .fetch_optional(&mut **tx)
    .await?;
    let user = user.ok_or_else(|| Error::not_found("user", email))?;
    sqlx::query("DELETE FROM session WHERE user_id = $1")
        .bind(user)
        .execute(&mut **tx)
        .await?;
    delete_link_to(tx, actor.account_id(), email).await?;
    clear_attempts(tx, actor.account_id(), email).await?;
    let new = json!({"password": "changed", "sessions": "ended"});
    record(tx, actor, Change::of(USER, email, "UPDATE", (), new)).await?;
    Ok(())
}

pub(super) async fn delete_link_to(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<()> {
    sqlx::query("DELETE FROM one_time_link WHERE account_id = $1 AND email = $2")
        .bind(account_id)
        .bind(email)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn delete_links_created_by(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<()> {
    sqlx::query("DELETE FROM one_time_link WHERE account_id = $1 AND created_by = $2")
        .bind(account_id)
        .bind(email)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) fn email_taken(email: &str) -> Error {
    Error::refused(
        Code::DuplicateField,
        format!("There is already a user with the address {email}."),
    )
}
