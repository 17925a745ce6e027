//! Limits of attempts to guess a password.
//!
//! Each attempt is counted before the password is checked, in three ways, each for 15 minutes from
//! the first attempt:
//!
//! | counted per | attempts | stops |
//! | --- | --- | --- |
//! | e-mail and network address | 5 | guessing the password of one user |
//! | network address | 30 | trying one password with many users |
//! | e-mail | 50 | guessing from many addresses |
//!
//! The last two would lock a user out for as long as someone else keeps guessing, so they do not
//! apply to addresses from which the user has signed in before. Setting a new password clears the
//! attempts of its user, and a correct password takes its attempt back. Attempts with an unknown
//! e-mail address are counted and refused in the same way.

use std::net::IpAddr;

use auditstream_model::{AccountName, Code, EpochMillis};

use super::{DAY, MINUTE, digest};
use crate::Engine;
use crate::database::{WriteTx, now};
use crate::error::{Error, Result};

/// How long attempts count, ms.
pub const THROTTLED_FOR: EpochMillis = 15 * MINUTE;
/// How long an address stays known after a sign-in, ms.
const KNOWN_FOR: EpochMillis = 90 * DAY;

const PER_EMAIL_AND_ADDRESS: i64 = 5;
const PER_ADDRESS: i64 = 30;
const PER_EMAIL: i64 = 50;

pub(super) struct Attempt {
    address: String,
    is_known: bool,
    /// The counters and their limits, always in this order, so that two attempts cannot deadlock.
    limits: [(String, i64); 3],
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

impl Attempt {
    pub(super) fn new(email: &str, client_ip: &str) -> Self {
        let address = network(client_ip);
        let email = email_digest(email);
        Self {
            limits: [
                (format!("both {email} {address}"), PER_EMAIL_AND_ADDRESS),
                (format!("from {address}"), PER_ADDRESS),
                (format!("user {email}"), PER_EMAIL),
            ],
            address,
            is_known: false,
        }
    }

    /// Counts the attempt. Returns whether it is the last one permitted.
    pub(super) async fn count(&mut self, engine: &Engine, user_id: Option<i64>) -> Result<bool> {
        // Queried for unknown users as well, so that they take as long.
        self.is_known = self.is_address_known(engine, user_id.unwrap_or(-1)).await?;
        // A client that is already locked out is refused without a write.
        for (subject, limit) in self.active_limits() {
            let failures: Option<i64> =
                sqlx::query_scalar("SELECT failures FROM sign_in_failure WHERE subject = $1 AND since > $2")
                    .bind(subject)
                    .bind(now() - THROTTLED_FOR)
                    .fetch_optional(engine.database().read())
                    .await?;
            if failures.is_some_and(|failures| failures >= *limit) {
                return Err(refusal());
            }
        }
        let limits = self.active_limits();
        engine
            .database()
            .transaction("count_attempt", async |tx| {
                let mut is_last = false;
                for (subject, limit) in limits {
                    let failures = increment(tx, subject).await?;
                    if failures > *limit {
                        return Err(refusal());
                    }
                    is_last |= failures == *limit;
                }
                Ok(is_last)
            })
            .await
    }

    fn active_limits(&self) -> &[(String, i64)] {
        if self.is_known { &self.limits[..1] } else { &self.limits }
    }

    /// Writes to the disk without changing anything. It takes as long as the audit event of an
    /// existing user, including the wait for the lock of an account's row.
    pub(super) async fn write_without_effect(&self, engine: &Engine) -> Result<()> {
        engine
            .database()
            .transaction("write_without_effect", async |tx| {
                sqlx::query("UPDATE sign_in_failure SET failures = failures WHERE subject = $1")
                    .bind(&self.limits[0].0)
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

    /// Takes the attempt back, and remembers the address as known.
    pub(super) async fn succeeded(&self, tx: &mut WriteTx, user_id: i64) -> Result<()> {
        sqlx::query("DELETE FROM sign_in_failure WHERE subject = $1 OR since < $2")
            .bind(&self.limits[0].0)
            .bind(now() - THROTTLED_FOR)
            .execute(&mut **tx)
            .await?;
        for (subject, _) in self.active_limits().iter().skip(1) {
            sqlx::query("UPDATE sign_in_failure SET failures = failures - 1 WHERE subject = $1 AND failures > 0")
                .bind(subject)
                .execute(&mut **tx)
                .await?;
        }
        sqlx::query("DELETE FROM known_address WHERE user_id = $1 AND seen < $2")
            .bind(user_id)
            .bind(now() - KNOWN_FOR)
            .execute(&mut **tx)
            .await?;
        sqlx::query(
            "INSERT INTO known_address (user_id, address, seen) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, address) DO UPDATE SET seen = excluded.seen",
        )
        .bind(user_id)
        .bind(&self.address)
        .bind(now())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn is_address_known(&self, engine: &Engine, user_id: i64) -> Result<bool> {
        let query = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM known_address WHERE user_id = $1 AND address = $2 AND seen > $3",
        );
        let found = query
            .bind(user_id)
            .bind(&self.address)
            .bind(now() - KNOWN_FOR)
            .fetch_one(engine.database().read())
            .await?;
        Ok(found > 0)
    }
}

/// Adds 1 to a counter, which restarts when its time has passed. Returns the new count.
async fn increment(tx: &mut WriteTx, subject: &str) -> Result<i64> {
    let query = sqlx::query_scalar(
        "INSERT INTO sign_in_failure (subject, failures, since) VALUES ($1, 1, $2) \
         ON CONFLICT (subject) DO UPDATE SET \
         failures = CASE WHEN sign_in_failure.since > $3 THEN sign_in_failure.failures + 1 ELSE 1 END, \
         since = CASE WHEN sign_in_failure.since > $3 THEN sign_in_failure.since ELSE $2 END \
         RETURNING failures",
    );
    let query = query.bind(subject).bind(now()).bind(now() - THROTTLED_FOR);
    Ok(query.fetch_one(&mut **tx).await?)
}

pub(super) async fn clear_attempts(tx: &mut WriteTx, email: &str) -> Result<()> {
    let email = email_digest(email);
    sqlx::query("DELETE FROM sign_in_failure WHERE subject = $1 OR subject LIKE $2")
        .bind(format!("user {email}"))
        .bind(format!("both {email} %"))
        .execute(&mut **tx)
        .await?;
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
