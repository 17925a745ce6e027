//! One-time links: they set a password, once. Looking at one changes nothing; sending its form uses it up.

use auditstream_model::{AccountName, Code, EpochMillis, LinkKind, OneTimeLink, Permission, Role, invalid_link};
use serde_json::json;

use super::users::{self, KIND, parse_email};
use super::{DAY, HOUR, account_id, digest, passwords, random_text};
use crate::database::{WriteTx, now, retried};
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// How long the link of the first admin is good, ms.
const SETUP_FOR: EpochMillis = HOUR;
/// How long an invitation is good, ms.
const INVITATION_FOR: EpochMillis = 3 * DAY;
/// How long a link for a new password is good, ms.
const PASSWORD_FOR: EpochMillis = 24 * HOUR;

/// A link's secret part, at the only moment that it is known.
pub struct Issued {
    /// What the link ends in.
    pub token: String,
    /// For whom.
    pub email: String,
    /// Until when.
    pub expires: EpochMillis,
}

/// Makes the link of the first admin; those made before end with it.
///
/// # Errors
/// When the database fails.
pub async fn setup_link(engine: &Engine) -> Result<String> {
    let account = account_id(engine, &AccountName::default_account()).await?;
    let mut tx = engine.database().write().await?;
    // The first admin's address is yet to be said.
    let actor = Actor::system(account, AccountName::default_account());
    let issued = issue(&mut tx, &actor, LinkKind::Setup, "", Role::Admin, SETUP_FOR).await?;
    tx.commit().await?;
    Ok(issued.token)
}

/// Invites somebody into the actor's account; a link made for them before ends.
///
/// # Errors
/// A bad address; somebody who is there already; no permission.
pub async fn invite(engine: &Engine, actor: &Actor, email: &str, role: Role) -> Result<Issued> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        if is_there(&mut tx, actor, &email).await? {
            return Err(users::taken(&email));
        }
        let issued = issue(&mut tx, actor, LinkKind::Invitation, &email, role, INVITATION_FOR).await?;
        let new = json!({"email": email, "role": role});
        record(&mut tx, actor, Change::of(KIND, &email, "INVITE", (), new)).await?;
        tx.commit().await?;
        Ok(issued)
    })
    .await
}

/// Ends the invitation of somebody who has not used it.
///
/// # Errors
/// No such invitation; no permission.
pub async fn withdraw_invitation(engine: &Engine, actor: &Actor, email: &str) -> Result<()> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let gone = sqlx::query("DELETE FROM one_time_link WHERE account_id = $1 AND email = $2 AND kind = $3")
            .bind(actor.account_id())
            .bind(&email)
            .bind(LinkKind::Invitation.as_str())
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() == 0 {
            return Err(Error::not_found("invitation of", &email));
        }
        record(&mut tx, actor, Change::of(KIND, &email, "REVOKE_INVITE", (), ())).await?;
        tx.commit().await
    })
    .await
}

/// A link with which a person of the actor's account sets a new password; one made before ends.
///
/// # Errors
/// No such person; no permission.
pub async fn password_link(engine: &Engine, actor: &Actor, email: &str) -> Result<Issued> {
    actor.require(Permission::EditAccess)?;
    let email = parse_email(email)?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        if !is_there(&mut tx, actor, &email).await? {
            return Err(Error::not_found("user", &email));
        }
        // The role is of no account: the person has one.
        let issued = issue(&mut tx, actor, LinkKind::Password, &email, Role::Viewer, PASSWORD_FOR).await?;
        let new = json!({"password": "link made"});
        record(&mut tx, actor, Change::of(KIND, &email, "UPDATE", (), new)).await?;
        tx.commit().await?;
        Ok(issued)
    })
    .await
}

/// What a link that can still be used is for; none otherwise.
///
/// # Errors
/// When the database fails.
pub async fn link(engine: &Engine, token: &str) -> Result<Option<OneTimeLink>> {
    let found: Option<(String, String, String)> = sqlx::query_as(
        "SELECT l.kind, l.email, a.name FROM one_time_link l JOIN account a ON a.id = l.account_id \
         WHERE l.digest = $1 AND l.expires > $2",
    )
    .bind(digest(token))
    .bind(now())
    .fetch_optional(engine.database().read())
    .await?;
    let Some((kind, email, account)) = found else {
        return Ok(None);
    };
    Ok(Some(OneTimeLink {
        kind: parse(&kind)?,
        email: Some(email).filter(|email| !email.is_empty()),
        account: AccountName::try_from(account).map_err(|error| Error::Broken(error.to_string()))?,
    }))
}

/// Uses a link up: makes the person that it is for, or gives them the new password. Answers their e-mail address.
///
/// `email` is asked of the first admin alone.
///
/// # Errors
/// A link that is used up or too old; a bad address or password, after which the link is still good.
pub async fn redeem(engine: &Engine, token: &str, email: &str, password: &str, client_ip: &str) -> Result<String> {
    let dead = || Error::Refused(Box::new(invalid_link()));
    // Whoever has no link has nothing hashed.
    let found = link(engine, token).await?.ok_or_else(dead)?;
    let email = match found.email {
        Some(email) => email,
        None => parse_email(email)?,
    };
    let hash = passwords::hash(password.to_owned()).await?;
    retried(|| async {
        let mut tx = engine.database().write().await?;
        let query = sqlx::query_as::<_, (i64, String, String)>(
            "DELETE FROM one_time_link WHERE digest = $1 AND expires > $2 RETURNING account_id, kind, role",
        );
        let used = query.bind(digest(token)).bind(now()).fetch_optional(&mut *tx).await?;
        let (account_id, kind, role) = used.ok_or_else(dead)?;
        let role = users::role(&role)?;
        let actor =
            Actor::person(account_id, found.account.clone(), email.clone(), role).with_request("POST", client_ip);
        match parse(&kind)? {
            LinkKind::Setup | LinkKind::Invitation => {
                let made = users::insert(&mut tx, &actor, &email, role, &hash).await;
                made.map_err(|error| match error {
                    // The address is somebody's in another account, of which nothing is told.
                    Error::Refused(problem) if problem.code == Code::DuplicateField => dead(),
                    other => other,
                })?;
            }
            LinkKind::Password => users::set_password(&mut tx, &actor, &email, &hash).await?,
        }
        tx.commit().await
    })
    .await?;
    Ok(email)
}

/// Ends the links that a person of an account has made.
pub(super) async fn forget_those_of(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<()> {
    sqlx::query("DELETE FROM one_time_link WHERE account_id = $1 AND created_by = $2")
        .bind(account_id)
        .bind(email)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Ends whatever link there is for an address, and that of the first admin, who is there now.
pub(super) async fn forget_of_new(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<()> {
    forget(tx, account_id, email).await?;
    // It is for nobody yet.
    forget(tx, account_id, "").await
}

/// Ends whatever link there is for an address.
pub(super) async fn forget(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<()> {
    sqlx::query("DELETE FROM one_time_link WHERE account_id = $1 AND email = $2")
        .bind(account_id)
        .bind(email)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn issue(
    tx: &mut WriteTx,
    actor: &Actor,
    kind: LinkKind,
    email: &str,
    role: Role,
    good_for: EpochMillis,
) -> Result<Issued> {
    let token = random_text();
    let expires = now() + good_for;
    sqlx::query("DELETE FROM one_time_link WHERE expires < $1 AND kind <> $2")
        .bind(now())
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
    .bind(now())
    .bind(expires)
    .execute(&mut **tx)
    .await?;
    let email = email.to_owned();
    Ok(Issued { token, email, expires })
}

async fn is_there(tx: &mut WriteTx, actor: &Actor, email: &str) -> Result<bool> {
    let query = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM console_user WHERE account_id = $1 AND email = $2");
    let found = query.bind(actor.account_id()).bind(email).fetch_one(&mut **tx).await?;
    Ok(found > 0)
}

fn parse(text: &str) -> Result<LinkKind> {
    text.parse()
        .map_err(|_| Error::Broken(format!("unknown kind of link {text}")))
}
