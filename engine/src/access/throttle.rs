//! Limits of attempts to guess a password.
//!
//! Each attempt is counted before the password is checked, in three ways, each for 15 minutes from
//! the first attempt:
//!
//! | counted per | attempts | stops |
//! | --- | --- | --- |
//! | e-mail address and network address | 5 | guessing the password of one user |
//! | network address | 30 | trying one password with many users |
//! | e-mail address | 50 | guessing from many addresses |
//!
//! The last two would lock a user out for as long as someone else keeps guessing, so they do not
//! apply to addresses from which the user has signed in before. Setting a new password clears the
//! attempts of its user, and a correct password takes its attempt back.
//!
//! An attempt is refused by these counters alone, which are the same for every e-mail address: with
//! or without a user, and whichever account was entered. Refusals therefore do not reveal which
//! users exist.
//!
//! Several accounts may have a user with the same e-mail address. The attempts of each of them are
//! counted once more, with the same limits. Only the user whose password it was gets the attempt
//! back: otherwise an admin could create a user with the address of a user of another account and
//! use its password to guess theirs without limit. The password of a user whose counters are
//! exhausted is not checked, as if it were wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use auditstream_model::{AccountName, Code, EpochMillis};

use super::{DAY, FUTURE, MINUTE, digest};
use crate::Engine;
use crate::database::WriteTx;
use crate::error::{Error, Result};

/// How long attempts count, ms.
pub const THROTTLED_FOR: EpochMillis = 15 * MINUTE;
/// How long an address stays known after a sign-in, ms.
const KNOWN_FOR: EpochMillis = 90 * DAY;

const PER_USER_AND_ADDRESS: i64 = 5;
const PER_ADDRESS: i64 = 30;
const PER_USER: i64 = 50;

/// The account of an e-mail address that no account has.
const NO_ACCOUNT: i64 = 0;

/// An attempt to sign in with an e-mail address.
pub(super) struct Attempt {
    address: String,
    /// The counter of the network address.
    from: String,
    /// Those that can refuse the attempt.
    everyone: Counters,
    /// At least one; the one with the id `None` if no account has such a user.
    users: Vec<AttemptedUser>,
}

struct AttemptedUser {
    user_id: Option<i64>,
    is_known: bool,
    counters: Counters,
}

/// The counters of an e-mail address: of all its users together, or of one.
struct Counters {
    both: String,
    user: String,
}

/// Whether the password of a user is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permitted {
    No,
    Yes,
    /// The last one that is.
    Last,
}

fn refusal() -> Error {
    Error::refused(
        Code::Throttled,
        format!(
            "Too many attempts to sign in. Wait {} minutes, then try again.",
            THROTTLED_FOR / MINUTE
        ),
    )
}

impl Counters {
    /// Those of all users with an address.
    fn of_everyone(email: &str, address: &str) -> Self {
        Self {
            both: format!("both * {email} {address}"),
            user: format!("user * {email}"),
        }
    }

    fn of_account(account_id: i64, email: &str, address: &str) -> Self {
        Self {
            both: format!("both {account_id} {email} {address}"),
            user: format!("user {account_id} {email}"),
        }
    }

    /// The counters that apply, with their limits.
    fn limits<'a>(&'a self, from: &'a str, is_known: bool) -> Vec<(&'a str, i64)> {
        let mut limits = vec![(self.both.as_str(), PER_USER_AND_ADDRESS)];
        if !is_known {
            limits.extend([(from, PER_ADDRESS), (self.user.as_str(), PER_USER)]);
        }
        limits
    }
}

impl Attempt {
    /// `users` are the ids of those with this e-mail address, and of their accounts.
    pub(super) fn new(email: &str, users: impl Iterator<Item = (i64, i64)>, client_ip: &str) -> Self {
        let address = network(client_ip);
        let email = email_digest(email);
        let user = |user_id, account_id| AttemptedUser {
            user_id,
            is_known: false,
            counters: Counters::of_account(account_id, &email, &address),
        };
        let mut users: Vec<_> = users.map(|(id, account_id)| user(Some(id), account_id)).collect();
        if users.is_empty() {
            users.push(user(None, NO_ACCOUNT));
        }
        Self {
            from: format!("from {address}"),
            everyone: Counters::of_everyone(&email, &address),
            address,
            users,
        }
    }

    /// The counters that can refuse the attempt.
    fn limits(&self) -> Vec<(&str, i64)> {
        let is_known = self.users.iter().any(|user| user.is_known);
        self.everyone.limits(&self.from, is_known)
    }

    fn limits_of<'a>(&'a self, user: &'a AttemptedUser) -> Vec<(&'a str, i64)> {
        user.counters.limits(&self.from, user.is_known)
    }

    /// Counts the attempt. Returns for each user whether the password is checked.
    ///
    /// # Errors
    /// [`Code::Throttled`] after too many attempts with the e-mail address, or from the network.
    pub(super) async fn count(&mut self, engine: &Engine) -> Result<Vec<Permitted>> {
        for index in 0..self.users.len() {
            // Queried for unknown users as well, so that they take as long.
            let user_id = self.users[index].user_id.unwrap_or(-1);
            self.users[index].is_known = self.is_address_known(engine, user_id).await?;
        }
        // A client that is already locked out is refused without a write.
        if is_locked_out(engine, &self.limits()).await? {
            return Err(refusal());
        }
        let mut locked_out = Vec::with_capacity(self.users.len());
        for user in &self.users {
            locked_out.push(is_locked_out(engine, &self.limits_of(user)).await?);
        }
        engine
            .database()
            .transaction("count_attempt", async |tx| self.increment(tx, &locked_out).await)
            .await
    }

    async fn increment(&self, tx: &mut WriteTx, locked_out: &[bool]) -> Result<Vec<Permitted>> {
        let counted = self
            .users
            .iter()
            .zip(locked_out)
            .filter(|(_, locked_out)| !**locked_out)
            .flat_map(|(user, _)| self.limits_of(user));
        // In the same order in every attempt, so that two of them cannot deadlock.
        let subjects: BTreeSet<&str> = self
            .limits()
            .into_iter()
            .chain(counted)
            .map(|(subject, _)| subject)
            .collect();
        let mut failures = BTreeMap::new();
        for subject in subjects {
            failures.insert(subject, increment(tx, subject).await?);
        }
        // How many more are permitted; negative if this one is not.
        let left = |limits: Vec<(&str, i64)>| {
            let left = limits
                .iter()
                .map(|(subject, limit)| limit - failures.get(subject).copied().unwrap_or(i64::MAX));
            left.min().unwrap_or(0)
        };
        let left_to_everyone = left(self.limits());
        if left_to_everyone < 0 {
            return Err(refusal());
        }
        let users = self.users.iter().zip(locked_out);
        let permitted = users.map(
            |(user, locked_out)| match left(self.limits_of(user)).min(left_to_everyone) {
                _ if *locked_out => Permitted::No,
                1.. => Permitted::Yes,
                0 => Permitted::Last,
                _ => Permitted::No,
            },
        );
        Ok(permitted.collect())
    }

    /// Writes to the disk without changing anything. It takes as long as the audit event of an
    /// existing user, including the wait for the lock of an account's row.
    pub(super) async fn write_without_effect(&self, engine: &Engine) -> Result<()> {
        engine
            .database()
            .transaction("write_without_effect", async |tx| {
                sqlx::query("UPDATE sign_in_failure SET failures = failures WHERE subject = $1")
                    .bind(&self.everyone.both)
                    .execute(&mut **tx)
                    .await?;
                sqlx::query("UPDATE account SET last_received = last_received WHERE name = $1")
                    .bind(AccountName::default_account().as_str())
                    .execute(&mut **tx)
                    .await?;
                Ok(())
            })
            .await
    }

    /// Takes the attempt back, once, for users whose password was correct.
    pub(super) async fn take_back(&self, tx: &mut WriteTx, user_ids: &[i64]) -> Result<()> {
        let is_theirs = |user: &&AttemptedUser| user.user_id.is_some_and(|id| user_ids.contains(&id));
        let theirs: Vec<&AttemptedUser> = self.users.iter().filter(is_theirs).collect();
        if theirs.is_empty() {
            return Ok(());
        }
        let limits = theirs.iter().flat_map(|user| self.limits_of(user));
        let subjects: BTreeSet<&str> = self
            .limits()
            .into_iter()
            .chain(limits)
            .map(|(subject, _)| subject)
            .collect();
        let ended =
            |subject: &str| subject == self.everyone.both || theirs.iter().any(|user| subject == user.counters.both);
        for subject in subjects {
            let statement = if ended(subject) {
                "DELETE FROM sign_in_failure WHERE subject = $1"
            } else {
                "UPDATE sign_in_failure SET failures = failures - 1 WHERE subject = $1 AND failures > 0"
            };
            sqlx::query(statement).bind(subject).execute(&mut **tx).await?;
        }
        let now = tx.now();
        sqlx::query("DELETE FROM sign_in_failure WHERE since < $1 OR since > $2")
            .bind(now - THROTTLED_FOR)
            .bind(now + THROTTLED_FOR)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// Takes the attempt back, and remembers the address as known.
    pub(super) async fn succeeded(&self, tx: &mut WriteTx, user_id: i64) -> Result<()> {
        self.take_back(tx, &[user_id]).await?;
        let now = tx.now();
        sqlx::query("DELETE FROM known_address WHERE user_id = $1 AND (seen < $2 OR seen > $3)")
            .bind(user_id)
            .bind(now - KNOWN_FOR)
            .bind(now + FUTURE)
            .execute(&mut **tx)
            .await?;
        sqlx::query(
            "INSERT INTO known_address (user_id, address, seen) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, address) DO UPDATE SET seen = excluded.seen",
        )
        .bind(user_id)
        .bind(&self.address)
        .bind(now)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn is_address_known(&self, engine: &Engine, user_id: i64) -> Result<bool> {
        let now = engine.database().clock().now();
        let query = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM known_address WHERE user_id = $1 AND address = $2 AND seen > $3 AND seen <= $4",
        );
        let found = query
            .bind(user_id)
            .bind(&self.address)
            .bind(now - KNOWN_FOR)
            .bind(now + FUTURE)
            .fetch_one(engine.database().read())
            .await?;
        Ok(found > 0)
    }
}

/// Whether one of these counters has reached its limit.
async fn is_locked_out(engine: &Engine, limits: &[(&str, i64)]) -> Result<bool> {
    let now = engine.database().clock().now();
    for (subject, limit) in limits {
        let failures: Option<i64> =
            sqlx::query_scalar("SELECT failures FROM sign_in_failure WHERE subject = $1 AND since BETWEEN $2 AND $3")
                .bind(*subject)
                .bind(now - THROTTLED_FOR)
                .bind(now + THROTTLED_FOR)
                .fetch_optional(engine.database().read())
                .await?;
        if failures.is_some_and(|failures| failures >= *limit) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds 1 to a counter, which restarts when its time has passed. Returns the new count.
async fn increment(tx: &mut WriteTx, subject: &str) -> Result<i64> {
    let now = tx.now();
    let query = sqlx::query_scalar(
        "INSERT INTO sign_in_failure (subject, failures, since) VALUES ($1, 1, $2) \
         ON CONFLICT (subject) DO UPDATE SET \
         failures = CASE WHEN sign_in_failure.since BETWEEN $3 AND $4 THEN sign_in_failure.failures + 1 ELSE 1 END, \
         since = CASE WHEN sign_in_failure.since BETWEEN $3 AND $4 THEN sign_in_failure.since ELSE $2 END \
         RETURNING failures",
    );
    let query = query.bind(subject).bind(now);
    let query = query.bind(now - THROTTLED_FOR).bind(now + THROTTLED_FOR);
    Ok(query.fetch_one(&mut **tx).await?)
}

/// Clears the attempts of a user. Those of the users of other accounts with the same address stay.
pub(super) async fn clear_attempts(tx: &mut WriteTx, account_id: i64, email: &str) -> Result<()> {
    let email = email_digest(email);
    for counters in [
        Counters::of_everyone(&email, "%"),
        Counters::of_account(account_id, &email, "%"),
    ] {
        sqlx::query("DELETE FROM sign_in_failure WHERE subject = $1 OR subject LIKE $2")
            .bind(counters.user)
            .bind(counters.both)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Returns the digest that is stored for an e-mail address: people type passwords into that field
/// by mistake.
fn email_digest(email: &str) -> String {
    digest(email)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Returns the network that is counted as one client. With IPv6, one customer has a whole /64.
fn network(client_ip: &str) -> String {
    match client_ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Ok(ip) => ip.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_prefix_of_64_bits() {
        for (ip, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
            ("", "unknown"),
        ] {
            assert_eq!(network(ip), expected);
        }
    }
}
