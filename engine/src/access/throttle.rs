//! How often somebody may guess a password.
//!
//! Attempts are counted before the password is looked at, in three ways, each for a quarter of an hour from the first:
//!
//! | counted by | attempts | keeps out |
//! | --- | --- | --- |
//! | e-mail and network address | 5 | who guesses one person's password |
//! | network address | 30 | who tries one password with many people |
//! | e-mail | 50 | who guesses from many places |
//!
//! The last two could shut a person out for as long as somebody keeps guessing, so they do not count where that person has
//! signed in before. A new password, by whomever it is set, ends what is counted of its person. A right password takes its
//! attempt back.
//! Whether there is such a person makes no difference to what is counted and said.

use std::net::IpAddr;

use auditstream_model::{AccountName, Code, EpochMillis};

use super::{DAY, MINUTE, digest};
use crate::Engine;
use crate::database::{WriteTx, now, retried};
use crate::error::{Error, Result};

/// How long attempts count, ms.
pub const THROTTLED_FOR: EpochMillis = 15 * MINUTE;
/// How long a place is known, ms.
const KNOWN_FOR: EpochMillis = 90 * DAY;

const OF_BOTH: i64 = 5;
const OF_ADDRESS: i64 = 30;
const OF_EMAIL: i64 = 50;

/// One attempt.
pub(super) struct Attempt {
    address: String,
    /// Whether the person has signed in from there before.
    known: bool,
    /// What is counted, and up to where; always in this order, so that two attempts never wait for each other.
    subjects: [(String, i64); 3],
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
        let who = of(email);
        Self {
            subjects: [
                (format!("both {who} {address}"), OF_BOTH),
                (format!("from {address}"), OF_ADDRESS),
                (format!("user {who}"), OF_EMAIL),
            ],
            address,
            known: false,
        }
    }

    /// Counts it; answers whether it is the last that is let through.
    ///
    /// # Errors
    /// [`Code::Throttled`] when there were too many.
    pub(super) async fn count(&mut self, engine: &Engine, user_id: Option<i64>) -> Result<bool> {
        // Asked for those who do not exist, too: it takes as long.
        self.known = self.is_known(engine, user_id.unwrap_or(-1)).await?;
        // Who is kept out is told so without a write.
        for (subject, limit) in self.counted() {
            let found: Option<i64> =
                sqlx::query_scalar("SELECT failures FROM sign_in_failure WHERE subject = $1 AND since > $2")
                    .bind(subject)
                    .bind(now() - THROTTLED_FOR)
                    .fetch_optional(engine.database().read())
                    .await?;
            if found.is_some_and(|failures| failures >= *limit) {
                return Err(refusal());
            }
        }
        retried(|| async {
            let mut tx = engine.database().write().await?;
            let mut last = false;
            for (subject, limit) in self.counted() {
                let failures: i64 = sqlx::query_scalar(
                    "INSERT INTO sign_in_failure (subject, failures, since) VALUES ($1, 1, $2) \
                     ON CONFLICT (subject) DO UPDATE SET \
                     failures = CASE WHEN sign_in_failure.since > $3 THEN sign_in_failure.failures + 1 ELSE 1 END, \
                     since = CASE WHEN sign_in_failure.since > $3 THEN sign_in_failure.since ELSE $2 END \
                     RETURNING failures",
                )
                .bind(subject)
                .bind(now())
                .bind(now() - THROTTLED_FOR)
                .fetch_one(&mut *tx)
                .await?;
                if failures > *limit {
                    return Err(refusal());
                }
                last |= failures == *limit;
            }
            tx.commit().await?;
            Ok(last)
        })
        .await
    }

    fn counted(&self) -> &[(String, i64)] {
        if self.known {
            &self.subjects[..1]
        } else {
            &self.subjects
        }
    }

    /// Writes to the disk and changes nothing: takes as long as the audit event of a person who exists, the wait for an
    /// account's row included.
    pub(super) async fn write_again(&self, engine: &Engine) -> Result<()> {
        let mut tx = engine.database().write().await?;
        sqlx::query("UPDATE sign_in_failure SET failures = failures WHERE subject = $1")
            .bind(&self.subjects[0].0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE account SET last_received = last_received WHERE name = $1")
            .bind(AccountName::default_account().as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Takes it back, and remembers the place.
    pub(super) async fn succeeded(&self, tx: &mut WriteTx, user_id: i64) -> Result<()> {
        let both = &self.subjects[0];
        sqlx::query("DELETE FROM sign_in_failure WHERE subject = $1 OR since < $2")
            .bind(&both.0)
            .bind(now() - THROTTLED_FOR)
            .execute(&mut **tx)
            .await?;
        for (subject, _) in self.counted().iter().skip(1) {
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

    async fn is_known(&self, engine: &Engine, user_id: i64) -> Result<bool> {
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

/// Forgets the attempts of an e-mail address, from wherever.
pub(super) async fn forgive(tx: &mut WriteTx, email: &str) -> Result<()> {
    let who = of(email);
    sqlx::query("DELETE FROM sign_in_failure WHERE subject = $1 OR subject LIKE $2")
        .bind(format!("user {who}"))
        .bind(format!("both {who} %"))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What stands for an e-mail address: what people type there by mistake is not kept.
fn of(email: &str) -> String {
    digest(email)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whom an address on the network stands for: of IPv6 one customer has a whole /64.
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
    fn a_network_is_an_ipv4_address_or_a_64() {
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
