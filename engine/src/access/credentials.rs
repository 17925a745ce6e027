//! Checking e-mail addresses and passwords. Several accounts may have a user with one address.

use auditstream_model::{AccountName, Code, Role};
use serde_json::json;
use sqlx::FromRow;

use super::rows::USER;
use super::throttle::{Attempt, Permitted, THROTTLED_FOR};
use super::{MINUTE, passwords};
use crate::database::WriteTx;
use crate::error::{Error, Result};
use crate::task::outlive_request;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

/// The most users with one e-mail address whose passwords are checked at one sign-in. Beyond that,
/// the account has to be named.
const MOST_CHECKS: i64 = 16;

pub(super) fn wrong_credentials() -> Error {
    Error::refused(Code::WrongCredentials, "The e-mail or the password is wrong.")
}

#[derive(FromRow)]
struct CredentialsRow {
    user_id: i64,
    account_id: i64,
    #[sqlx(try_from = "String")]
    account: AccountName,
    #[sqlx(try_from = "String")]
    role: Role,
    password_hash: String,
}

/// A user whose password was correct when it was checked.
pub(super) struct Verified {
    pub(super) user_id: i64,
    pub(super) actor: Actor,
    hash: String,
    pub(super) attempt: Attempt,
}

impl Verified {
    /// Locks the user's row. Fails if the password was changed or the user removed since the check.
    pub(super) async fn lock(&self, tx: &mut WriteTx) -> Result<()> {
        let now = tx.now();
        let updated = sqlx::query("UPDATE console_user SET last_sign_in = $2 WHERE id = $1 AND password_hash = $3")
            .bind(self.user_id)
            .bind(now)
            .bind(&self.hash)
            .execute(&mut **tx)
            .await?;
        if updated.rows_affected() == 1 {
            Ok(())
        } else {
            Err(wrong_credentials())
        }
    }
}

/// Checks a password. A wrong one is an audit event of each user with the address; for an unknown
/// address other rows are written, so that neither the response nor its time reveals which users
/// exist.
pub(super) async fn verify(
    engine: &Engine,
    account: Option<String>,
    email: String,
    password: String,
    client_ip: String,
) -> Result<Verified> {
    outlive_request(
        engine.ongoing_work(),
        verify_and_record(engine.clone(), account, email, password, client_ip),
    )
    .await
}

async fn verify_and_record(
    engine: Engine,
    account: Option<String>,
    email: String,
    password: String,
    client_ip: String,
) -> Result<Verified> {
    let (engine, email, client_ip) = (&engine, email.as_str(), client_ip.as_str());
    let users = users_with_address(engine, account.as_deref(), email).await?;
    let ids = users.iter().map(|user| (user.user_id, user.account_id));
    let mut attempt = Attempt::new(email, ids, client_ip);
    let permitted = attempt.count(engine).await?;
    let mut matching = Vec::new();
    let mut failed = Vec::new();
    // As many checks as for the address with the most users, so that their time reveals nothing.
    let checks = most_users_of_an_address(engine).await?.max(users.len());
    let mut unchecked = users.into_iter().zip(permitted);
    for _ in 0..checks {
        let user = unchecked.next().filter(|(_, permitted)| *permitted != Permitted::No);
        let hash = user.as_ref().map(|(user, _)| user.password_hash.clone());
        let is_correct = passwords::verify(hash, &password).await?;
        match user {
            Some((user, _)) if is_correct => matching.push(user),
            Some(user) => failed.push(user),
            None => {}
        }
    }
    // An incorrect password counts as a failure of its user, even if it is a namesake's.
    if !failed.is_empty() {
        record_failure(engine, email, client_ip, &failed).await?;
    }
    if matching.len() > 1 {
        return Err(choose_account(engine, &attempt, &matching).await?);
    }
    if let Some(user) = matching.pop() {
        let actor = Actor::person(user.account_id, user.account, email.to_owned(), user.role);
        return Ok(Verified {
            user_id: user.user_id,
            actor: actor.with_request("POST", client_ip),
            hash: user.password_hash,
            attempt,
        });
    }
    if failed.is_empty() {
        attempt.write_without_effect(engine).await?;
    }
    Err(wrong_credentials())
}

/// Returns the users with an e-mail address, by account: at most [`MOST_CHECKS`].
async fn users_with_address(engine: &Engine, account: Option<&str>, email: &str) -> Result<Vec<CredentialsRow>> {
    let query = sqlx::query_as(
        "SELECT u.id AS user_id, u.account_id, a.name AS account, u.role, u.password_hash FROM console_user u \
         JOIN account a ON a.id = u.account_id \
         WHERE u.email = $1 AND (CAST($2 AS TEXT) IS NULL OR a.name = CAST($2 AS TEXT)) \
         ORDER BY u.account_id LIMIT $3",
    );
    Ok(query
        .bind(email)
        .bind(account)
        .bind(MOST_CHECKS)
        .fetch_all(engine.database().read())
        .await?)
}

/// Returns the number of users of the address that the most accounts have; at least 1.
async fn most_users_of_an_address(engine: &Engine) -> Result<usize> {
    let most: i64 = sqlx::query_scalar(
        "SELECT coalesce(max(accounts), 1) FROM (SELECT count(*) AS accounts FROM console_user GROUP BY email) AS address",
    )
    .fetch_one(engine.database().read())
    .await?;
    Ok(usize::try_from(most.clamp(1, MOST_CHECKS)).unwrap_or(1))
}

/// The refusal of a password that several users with the address have, who are the same person.
async fn choose_account(engine: &Engine, attempt: &Attempt, users: &[CredentialsRow]) -> Result<Error> {
    engine
        .database()
        .transaction("choose_account", async |tx| {
            let ids: Vec<i64> = users.iter().map(|user| user.user_id).collect();
            attempt.take_back(tx, &ids).await
        })
        .await?;
    let accounts: Vec<&str> = users.iter().map(|user| user.account.as_str()).collect();
    Ok(Error::refused(
        Code::ChooseAccount,
        format!(
            "Several accounts have a user with this e-mail address and password: {}. Enter the account to sign in to.",
            accounts.join(", ")
        ),
    ))
}

async fn record_failure(
    engine: &Engine,
    email: &str,
    client_ip: &str,
    failed: &[(CredentialsRow, Permitted)],
) -> Result<()> {
    engine
        .database()
        .transaction("failed_sign_in", async |tx| {
            // By account, in which order their rows are locked.
            for (user, permitted) in failed {
                let actor = Actor::person(user.account_id, user.account.clone(), email.to_owned(), user.role);
                let actor = actor.with_request("POST", client_ip);
                let mut new = json!({"reason": "wrong password"});
                if *permitted == Permitted::Last {
                    new["further_attempts_refused_for_minutes"] = (THROTTLED_FOR / MINUTE).into();
                }
                record(tx, &actor, Change::of(USER, email, "UNSUCCESSFUL_LOGIN", (), &new)).await?;
            }
            Ok(())
        })
        .await
}
