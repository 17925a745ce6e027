//! One-time links, each of which sets a password once. Opening a link changes nothing; submitting
//! its form uses it up.

use auditstream_model::{AccountName, Code, EpochMillis, LinkKind, OneTimeLink, Permission, Role, invalid_link};
use serde_json::json;
use sqlx::FromRow;

use super::accounts::account_id;
use super::email::parse_email;
use super::rows::{USER, email_taken, insert_user, set_password, user_id};
use super::{DAY, FUTURE, HOUR, digest, passwords, random_text};
use crate::database::WriteTx;
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const SETUP_VALID_FOR: EpochMillis = HOUR;
const INVITATION_VALID_FOR: EpochMillis = 3 * DAY;
const PASSWORD_VALID_FOR: EpochMillis = 24 * HOUR;

/// A new link. Its token is not stored and cannot be shown again.
pub struct Issued {
    /// The last part of the link.
    pub token: String,
    /// The recipient.
    pub email: String,
    /// When the link expires, epoch ms.
    pub expires: EpochMillis,
}

/// Creates the link for the first admin, which replaces any earlier one. Returns its token.
pub async fn setup_link(engine: &Engine) -> Result<String> {
    let account = account_id(engine, &AccountName::default_account()).await?;
    let actor = Actor::system(account, AccountName::default_account());
    let issued = engine
        .database()
        .transaction("setup_link", async |tx| {
            // The first admin enters an address later.
            issue(tx, &actor, LinkKind::Setup, "", Role::Admin).await
        })
        .await?;
    Ok(issued.token)
}

/// Invites a new user into the actor's account. The link replaces any earlier one to this address.
pub async fn invite(engine: &Engine, actor: &Actor, email: &str, role: Role) -> Result<Issued> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    engine
        .database()
        .transaction("invite", async |tx| {
            if user_id(tx, actor.account_id(), &email).await?.is_some() {
                return Err(email_taken(&email));
            }
            let issued = issue(tx, actor, LinkKind::Invitation, &email, role).await?;
            let new = json!({"email": email, "role": role});
            record(tx, actor, Change::of(USER, &email, "INVITE", (), new)).await?;
            Ok(issued)
        })
        .await
}

/// Withdraws an invitation that has not been used.
pub async fn withdraw_invitation(engine: &Engine, actor: &Actor, email: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    engine
        .database()
        .transaction("withdraw_invitation", async |tx| {
            let deleted = sqlx::query("DELETE FROM one_time_link WHERE account_id = $1 AND email = $2 AND kind = $3")
                .bind(actor.account_id())
                .bind(&email)
                .bind(LinkKind::Invitation.as_str())
                .execute(&mut **tx)
                .await?;
            if deleted.rows_affected() == 0 {
                return Err(Error::not_found("invitation for", &email));
            }
            record(tx, actor, Change::of(USER, &email, "REVOKE_INVITE", (), ())).await?;
            Ok(())
        })
        .await
}

/// Creates the link with which a user sets a new password. It replaces any earlier one.
pub async fn password_link(engine: &Engine, actor: &Actor, email: &str) -> Result<Issued> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    engine
        .database()
        .transaction("password_link", async |tx| {
            if user_id(tx, actor.account_id(), &email).await?.is_none() {
                return Err(Error::not_found("user", &email));
            }
            // The role is not used: the user keeps theirs.
            let issued = issue(tx, actor, LinkKind::Password, &email, Role::Viewer).await?;
            let new = json!({"password": "link made"});
            record(tx, actor, Change::of(USER, &email, "UPDATE", (), new)).await?;
            Ok(issued)
        })
        .await
}

#[derive(FromRow)]
struct LinkRow {
    #[sqlx(try_from = "String")]
    kind: LinkKind,
    /// Empty for the link of the first admin.
    email: String,
    #[sqlx(try_from = "String")]
    account: AccountName,
}

/// Returns the link with this token; `None` if it is unknown or has expired.
pub async fn link(engine: &Engine, token: &str) -> Result<Option<OneTimeLink>> {
    let now = engine.database().clock().now();
    let row: Option<LinkRow> = sqlx::query_as(
        "SELECT l.kind, l.email, a.name AS account FROM one_time_link l JOIN account a ON a.id = l.account_id \
         WHERE l.digest = $1 AND l.expires > $2 AND l.created <= $3",
    )
    .bind(digest(token))
    .bind(now)
    .bind(now + FUTURE)
    .fetch_optional(engine.database().read())
    .await?;
    Ok(row.map(|row| OneTimeLink {
        kind: row.kind,
        email: Some(row.email).filter(|email| !email.is_empty()),
        account: row.account,
    }))
}

#[derive(FromRow)]
struct UsedLink {
    account_id: i64,
    #[sqlx(try_from = "String")]
    kind: LinkKind,
    #[sqlx(try_from = "String")]
    role: Role,
}

/// The user of a link that was used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// The account.
    pub account: AccountName,
    /// The user's e-mail address.
    pub email: String,
}

/// Uses a link up: creates the user that it invites, or sets the user's new password. `email` is
/// read only for the first admin's link. After an invalid address or password the link can still be
/// used.
pub async fn redeem(engine: &Engine, token: &str, email: &str, password: &str, client_ip: &str) -> Result<Redeemed> {
    let invalid = || Error::Refused(Box::new(invalid_link()));
    // An unknown token is refused before the costly hash.
    let found = link(engine, token).await?.ok_or_else(invalid)?;
    let email = match found.email {
        Some(email) => email,
        None => parse_email(email)?,
    };
    let account = found.account;
    let hash = passwords::hash(password.to_owned()).await?;
    let use_up = async |tx: &mut WriteTx| {
        let query = sqlx::query_as::<_, UsedLink>(
            "DELETE FROM one_time_link WHERE digest = $1 AND expires > $2 AND created <= $3 \
             RETURNING account_id, kind, role",
        );
        let now = tx.now();
        let query = query.bind(digest(token)).bind(now).bind(now + FUTURE);
        let used = query.fetch_optional(&mut **tx).await?;
        let used = used.ok_or_else(invalid)?;
        let actor = Actor::person(used.account_id, account.clone(), email.clone(), used.role);
        let actor = actor.with_request("POST", client_ip);
        match used.kind {
            LinkKind::Setup | LinkKind::Invitation => {
                let inserted = insert_user(tx, &actor, &email, used.role, &hash).await;
                inserted.map_err(|error| match error {
                    // The account has such a user since the invitation.
                    Error::Refused(problem) if problem.code == Code::DuplicateField => invalid(),
                    other => other,
                })
            }
            LinkKind::Password => set_password(tx, &actor, &email, &hash).await,
        }
    };
    engine.database().transaction("redeem", use_up).await?;
    Ok(Redeemed { account, email })
}

async fn issue(tx: &mut WriteTx, actor: &Actor, kind: LinkKind, email: &str, role: Role) -> Result<Issued> {
    let token = random_text();
    let now = tx.now();
    let expires = now
        + match kind {
            LinkKind::Setup => SETUP_VALID_FOR,
            LinkKind::Invitation => INVITATION_VALID_FOR,
            LinkKind::Password => PASSWORD_VALID_FOR,
        };
    sqlx::query("DELETE FROM one_time_link WHERE expires < $1 AND kind <> $2")
        .bind(now)
        .bind(LinkKind::Invitation.as_str())
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO one_time_link (digest, account_id, kind, email, role, created_by, created, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account_id, email) DO UPDATE SET digest = excluded.digest, \
         kind = excluded.kind, role = excluded.role, created_by = excluded.created_by, created = excluded.created, \
         expires = excluded.expires",
    )
    .bind(digest(&token))
    .bind(actor.account_id())
    .bind(kind.as_str())
    .bind(email)
    .bind(role.as_str())
    .bind(actor.name())
    .bind(now)
    .bind(expires)
    .execute(&mut **tx)
    .await?;
    let email = email.to_owned();
    Ok(Issued { token, email, expires })
}
