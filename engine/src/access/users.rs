//! People, their roles and passwords.

use auditstream_model::{Code, EpochMillis, FieldErrors, LinkKind, Permission, Role, User, UserStatus};
use serde_json::json;

use super::{passwords, throttle};
use crate::database::{WriteTx, now, retried};
use crate::error::{Error, Result, on_duplicate};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

pub(super) const KIND: &str = "USER";

/// Whether anybody can sign in.
///
/// # Errors
/// When the database fails.
pub async fn has_users(engine: &Engine) -> Result<bool> {
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM console_user")
        .fetch_one(engine.database().read())
        .await?;
    Ok(users > 0)
}

/// The people of the actor's account and those invited, by e-mail address.
///
/// # Errors
/// No permission.
pub async fn users(engine: &Engine, actor: &Actor) -> Result<Vec<User>> {
    actor.require(Permission::EditAccess)?;
    type Row = (
        String,
        String,
        EpochMillis,
        Option<EpochMillis>,
        Option<EpochMillis>,
        i64,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT u.email, u.role, u.created, u.last_sign_in, l.expires, 1 FROM console_user u \
         LEFT JOIN one_time_link l ON l.account_id = u.account_id AND l.email = u.email AND l.expires > $2 \
         WHERE u.account_id = $1 \
         UNION ALL SELECT email, role, created, NULL, expires, 0 FROM one_time_link \
         WHERE account_id = $1 AND kind = $3 ORDER BY 1",
    )
    .bind(actor.account_id())
    .bind(now())
    .bind(LinkKind::Invitation.as_str())
    .fetch_all(engine.database().read())
    .await?;
    let user = |(email, word, created, last_sign_in, link_expires, active): Row| {
        Ok(User {
            email,
            role: role(&word)?,
            status: if active == 1 {
                UserStatus::Active
            } else {
                UserStatus::Invited
            },
            created,
            last_sign_in,
            link_expires,
        })
    };
    rows.into_iter().map(user).collect()
}

/// Makes a person of the actor's account.
///
/// # Errors
/// A bad address or password; an address that is in use.
pub async fn create_user(engine: &Engine, actor: &Actor, email: &str, role: Role, password: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let hash = passwords::hash(password.to_owned()).await?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        insert(&mut tx, actor, &email, role, &hash).await?;
        tx.commit().await
    })
    .await
}

/// Gives a person of the actor's account another role, from their next click on. Links made by an admin end with the role.
///
/// # Errors
/// No such person; the last admin; no permission.
pub async fn set_role(engine: &Engine, actor: &Actor, email: &str, role: Role) -> Result<User> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let change_role = async |tx: &mut WriteTx| {
        let old = hold(tx, actor, &email).await?;
        if old.role == role {
            return tx.roll_back(());
        }
        if role != Role::Admin {
            old.require_another_admin(&email)?;
            super::links::forget_those_of(tx, actor.account_id(), &email).await?;
        }
        sqlx::query("UPDATE console_user SET role = $2 WHERE id = $1")
            .bind(old.id)
            .bind(role.as_str())
            .execute(&mut **tx)
            .await?;
        let change = Change::of(KIND, &email, "UPDATE", json!({"role": old.role}), json!({"role": role}));
        record(tx, actor, change).await?;
        Ok(())
    };
    engine.database().transaction("set_role", change_role).await?;
    let found = users(engine, actor).await?.into_iter().find(|user| user.email == email);
    found.ok_or_else(|| Error::not_found("user", &email))
}

/// Removes a person of the actor's account, with their sessions and the links that they have made.
///
/// # Errors
/// No such person; the last admin; no permission.
pub async fn remove_user(engine: &Engine, actor: &Actor, email: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let old = hold(&mut tx, actor, &email).await?;
        old.require_another_admin(&email)?;
        super::links::forget(&mut tx, actor.account_id(), &email).await?;
        super::links::forget_those_of(&mut tx, actor.account_id(), &email).await?;
        sqlx::query("DELETE FROM console_user WHERE id = $1")
            .bind(old.id)
            .execute(&mut *tx)
            .await?;
        let change = Change::of(KIND, &email, "DELETE", json!({"email": email, "role": old.role}), ());
        record(&mut tx, actor, change).await?;
        tx.commit().await
    })
    .await
}

/// Gives a person of the actor's account a new password, ends their sessions and lets them try again at once.
///
/// # Errors
/// A bad password; no such person.
pub async fn reset_password(engine: &Engine, actor: &Actor, email: &str, password: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let hash = passwords::hash(password.to_owned()).await?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        set_password(&mut tx, actor, &email, &hash).await?;
        tx.commit().await
    })
    .await
}

/// The new password of a person, whose sessions and links end.
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
    super::links::forget(tx, actor.account_id(), email).await?;
    throttle::forgive(tx, email).await?;
    let new = json!({"password": "changed", "sessions": "ended"});
    record(tx, actor, Change::of(KIND, email, "UPDATE", (), new)).await?;
    Ok(())
}

pub(super) async fn insert(tx: &mut WriteTx, actor: &Actor, email: &str, role: Role, hash: &str) -> Result<()> {
    super::links::forget_of_new(tx, actor.account_id(), email).await?;
    sqlx::query(
        "INSERT INTO console_user (account_id, email, role, password_hash, created) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(actor.account_id())
    .bind(email)
    .bind(role.as_str())
    .bind(hash)
    .bind(now())
    .execute(&mut **tx)
    .await
    .map_err(|error| on_duplicate(error, || taken(email)))?;
    let new = json!({"email": email, "role": role});
    record(tx, actor, Change::of(KIND, email, "CREATE", (), new)).await?;
    Ok(())
}

/// The address is somebody's.
pub(super) fn taken(email: &str) -> Error {
    Error::refused(
        Code::DuplicateField,
        format!("There is already a user with the address {email}."),
    )
}

/// A person whose row the transaction holds.
struct Held {
    id: i64,
    role: Role,
    /// Admins of the account, none of whom can cease to be one before the transaction ends.
    admins: usize,
}

impl Held {
    fn require_another_admin(&self, email: &str) -> Result<()> {
        if self.role != Role::Admin || self.admins > 1 {
            return Ok(());
        }
        Err(Error::refused(
            Code::Conflict,
            format!("{email} is the last account admin and has to stay one. Make somebody else an admin first."),
        ))
    }
}

async fn hold(tx: &mut WriteTx, actor: &Actor, email: &str) -> Result<Held> {
    let query = sqlx::query_as::<_, (i64, String, String)>(tx.dialect().pick(
        "SELECT id, email, role FROM console_user WHERE account_id = $1 ORDER BY id",
        "SELECT id, email, role FROM console_user WHERE account_id = $1 ORDER BY id FOR UPDATE",
    ));
    let all = query.bind(actor.account_id()).fetch_all(&mut **tx).await?;
    let admins = all.iter().filter(|user| user.2 == Role::Admin.as_str()).count();
    let (id, _, word) = all
        .into_iter()
        .find(|user| user.1 == email)
        .ok_or_else(|| Error::not_found("user", email))?;
    let role = role(&word)?;
    Ok(Held { id, role, admins })
}

/// The role of a stored word.
pub(super) fn role(word: &str) -> Result<Role> {
    word.parse().map_err(|_| Error::Broken(format!("unknown role {word}")))
}

/// An address in the one form that is compared: trimmed, lower case. Only ASCII, so that no two look the same; domains in other
/// scripts have a form in it.
pub(super) fn parse_email(text: &str) -> Result<String> {
    let email = text.trim().to_lowercase();
    if is_email(&email) {
        return Ok(email);
    }
    Err(FieldErrors::one("email", "An e-mail address looks like ann@example.com.").into())
}

/// Whether a text has the form of an e-mail address.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, host)| !local.is_empty() && host.len() > 2 && !host.contains('@'))
        && text.len() <= 254
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
