//! Users, their roles and passwords.

use auditstream_model::{Code, EpochMillis, LinkKind, Permission, Role, User, UserStatus};
use serde_json::json;
use sqlx::FromRow;

use super::email::parse_email;
use super::passwords;
use super::rows::{USER, delete_link_to, delete_links_created_by, insert_user, set_password};
use crate::database::WriteTx;
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// Whether the installation has a user.
pub async fn has_users(engine: &Engine) -> Result<bool> {
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM console_user")
        .fetch_one(engine.database().read())
        .await?;
    Ok(users > 0)
}

#[derive(FromRow)]
struct UserRow {
    email: String,
    #[sqlx(try_from = "String")]
    role: Role,
    #[sqlx(try_from = "String")]
    status: UserStatus,
    created: EpochMillis,
    last_sign_in: Option<EpochMillis>,
    link_expires: Option<EpochMillis>,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            email: row.email,
            role: row.role,
            status: row.status,
            created: row.created,
            last_sign_in: row.last_sign_in,
            link_expires: row.link_expires,
        }
    }
}

/// Returns the users of the actor's account and the invited ones, by e-mail address.
pub async fn users(engine: &Engine, actor: &Actor) -> Result<Vec<User>> {
    actor.require(Permission::EditAccess)?;
    let rows: Vec<UserRow> = sqlx::query_as(
        "SELECT u.email, u.role, 'ACTIVE' AS status, u.created, u.last_sign_in, l.expires AS link_expires \
         FROM console_user u \
         LEFT JOIN one_time_link l ON l.account_id = u.account_id AND l.email = u.email AND l.expires > $2 \
         WHERE u.account_id = $1 \
         UNION ALL SELECT email, role, 'INVITED', created, NULL, expires FROM one_time_link \
         WHERE account_id = $1 AND kind = $3 ORDER BY 1",
    )
    .bind(actor.account_id())
    .bind(engine.database().clock().now())
    .bind(LinkKind::Invitation.as_str())
    .fetch_all(engine.database().read())
    .await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Creates a user in the actor's account.
pub async fn create_user(engine: &Engine, actor: &Actor, email: &str, role: Role, password: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let hash = passwords::hash(password.to_owned()).await?;
    engine
        .database()
        .transaction("create_user", async |tx| {
            insert_user(tx, actor, &email, role, &hash).await
        })
        .await
}

/// Changes the role of a user of the actor's account, with effect from the user's next request.
/// Links created by a user who is no longer an admin are deleted. Fails for the last admin.
pub async fn set_role(engine: &Engine, actor: &Actor, email: &str, role: Role) -> Result<User> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let change_role = async |tx: &mut WriteTx| {
        let user = LockedUser::lock(tx, actor, &email).await?;
        if user.role == role {
            return tx.roll_back(());
        }
        if role != Role::Admin {
            user.require_another_admin(&email)?;
            delete_links_created_by(tx, actor.account_id(), &email).await?;
        }
        sqlx::query("UPDATE console_user SET role = $2 WHERE id = $1")
            .bind(user.id)
            .bind(role.as_str())
            .execute(&mut **tx)
            .await?;
        let change = Change::of(
            USER,
            &email,
            "UPDATE",
            json!({"role": user.role}),
            json!({"role": role}),
        );
        record(tx, actor, change).await?;
        Ok(())
    };
    engine.database().transaction("set_role", change_role).await?;
    let found = users(engine, actor).await?.into_iter().find(|user| user.email == email);
    found.ok_or_else(|| Error::not_found("user", &email))
}

/// Removes a user of the actor's account, their sessions and the links that they have created.
/// Fails for the last admin.
pub async fn remove_user(engine: &Engine, actor: &Actor, email: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    engine
        .database()
        .transaction("remove_user", async |tx| {
            let user = LockedUser::lock(tx, actor, &email).await?;
            user.require_another_admin(&email)?;
            delete_link_to(tx, actor.account_id(), &email).await?;
            delete_links_created_by(tx, actor.account_id(), &email).await?;
            sqlx::query("DELETE FROM console_user WHERE id = $1")
                .bind(user.id)
                .execute(&mut **tx)
                .await?;
            let change = Change::of(USER, &email, "DELETE", json!({"email": email, "role": user.role}), ());
            record(tx, actor, change).await?;
            Ok(())
        })
        .await
}

/// Sets the password of a user of the actor's account, ends their sessions and clears their sign-in
/// attempts.
pub async fn reset_password(engine: &Engine, actor: &Actor, email: &str, password: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    let hash = passwords::hash(password.to_owned()).await?;
    engine
        .database()
        .transaction("reset_password", async |tx| {
            set_password(tx, actor, &email, &hash).await
        })
        .await
}

#[derive(FromRow)]
struct RoleRow {
    id: i64,
    email: String,
    #[sqlx(try_from = "String")]
    role: Role,
}

struct LockedUser {
    id: i64,
    role: Role,
    /// The number of admins of the account, whose rows are locked too.
    admins: usize,
}

impl LockedUser {
    /// Locks every user of the account, so that two admins cannot remove each other at once.
    async fn lock(tx: &mut WriteTx, actor: &Actor, email: &str) -> Result<Self> {
        let query = sqlx::query_as::<_, RoleRow>(tx.dialect().pick(
            "SELECT id, email, role FROM console_user WHERE account_id = $1 ORDER BY id",
            "SELECT id, email, role FROM console_user WHERE account_id = $1 ORDER BY id FOR UPDATE",
        ));
        let all = query.bind(actor.account_id()).fetch_all(&mut **tx).await?;
        let admins = all.iter().filter(|user| user.role == Role::Admin).count();
        let user = all.into_iter().find(|user| user.email == email);
        let RoleRow { id, role, .. } = user.ok_or_else(|| Error::not_found("user", email))?;
        Ok(Self { id, role, admins })
    }

    fn require_another_admin(&self, email: &str) -> Result<()> {
        if self.role != Role::Admin || self.admins > 1 {
            return Ok(());
        }
        Err(Error::refused(
            Code::Conflict,
            format!("{email} is the last account admin. Make another user an account admin first."),
        ))
    }
}
