//! The retention that an account has set.

use std::time::Duration;

use auditstream_model::{EpochMillis, Permission, RetentionInput, RetentionView, Sequence, UnconfirmedRemoval};
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::any::AnyExecutor;

use crate::database::WriteTx;
use crate::error::Result;
use crate::precondition::{Precondition, changed_after};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

pub(super) const KIND: &str = "RETENTION";
pub(super) const IDENTIFIER: &str = "retention";

const DAY: i64 = 86_400_000;
/// How long a shorter retention can be withdrawn before it applies, ms.
pub(super) const SHORTENED_AFTER: i64 = DAY;

/// The retention that an account has set; by default none.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub(super) struct Setting {
    /// `None`: the server's default.
    days: Option<i64>,
    /// Applies until `effective`, if it is longer; `None`: the server's default.
    previous_days: Option<i64>,
    effective: EpochMillis,
    updated: EpochMillis,
}

impl Setting {
    #[cfg(test)]
    pub(super) fn of(days: Option<i64>, previous_days: Option<i64>, effective: EpochMillis) -> Self {
        Self {
            days,
            previous_days,
            effective,
            updated: effective,
        }
    }

    /// How long events are retained at a time.
    pub(super) fn keep(&self, default: Duration, now: EpochMillis) -> Duration {
        let keep = duration(self.days, default);
        if self.is_pending(now) {
            keep.max(duration(self.previous_days, default))
        } else {
            keep
        }
    }

    /// Whether a change is the reason why more events are expired at `now` than at `time`.
    pub(super) fn took_effect_after(&self, time: EpochMillis, now: EpochMillis) -> bool {
        self.updated > 0 && self.effective > time && !self.is_pending(now)
    }

    /// When the setting applies, if it shortens the retention and does not apply yet.
    fn shortened_from(&self, default: Duration, now: EpochMillis) -> Option<EpochMillis> {
        let is_shorter = duration(self.days, default) < duration(self.previous_days, default);
        (self.is_pending(now) && is_shorter).then_some(self.effective)
    }

    fn is_pending(&self, now: EpochMillis) -> bool {
        now < self.effective
    }

    /// The setting after a change to `days` at `now`.
    fn changed(&self, days: Option<u32>, default: Duration, now: EpochMillis) -> Self {
        let applies = if self.keep(default, now) == duration(self.days, default) {
            self.days
        } else {
            self.previous_days
        };
        let days = days.map(i64::from);
        let is_shorter = duration(days, default) < duration(applies, default);
        Self {
            days,
            previous_days: if is_shorter { applies } else { days },
            effective: if is_shorter { now + SHORTENED_AFTER } else { now },
            updated: changed_after(self.updated),
        }
    }

    fn audited(&self) -> Value {
        json!({"days": self.days, "effective": self.effective})
    }
}

fn duration(days: Option<i64>, default: Duration) -> Duration {
    let days = days.and_then(|days| u64::try_from(days).ok());
    days.map_or(default, |days| Duration::from_secs(days * 86_400))
}

fn whole_days(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs().div_ceil(86_400)).unwrap_or(u32::MAX)
}

/// Reads the setting of an account.
pub(super) async fn setting(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Setting> {
    let query =
        sqlx::query_as("SELECT days, previous_days, effective, updated FROM retention_setting WHERE account_id = $1");
    Ok(query
        .bind(account_id)
        .fetch_optional(executor)
        .await?
        .unwrap_or_default())
}

/// Returns how long the events of the actor's account are retained.
///
/// # Errors
/// Without the permission to read the trail.
pub async fn get(engine: &Engine, actor: &Actor) -> Result<RetentionView> {
    actor.require(Permission::ViewAudit)?;
    let setting = setting(engine.database().read(), actor.account_id()).await?;
    let unconfirmed = unconfirmed(engine.database().read(), actor.account_id()).await?;
    Ok(view(engine, &setting, unconfirmed, engine.database().clock().now()))
}

/// Sets how long the events of the actor's account are retained. A shorter retention applies after
/// a day, and can be withdrawn until then; a longer one applies at once.
///
/// # Errors
/// [`Code::PreconditionFailed`](auditstream_model::Code::PreconditionFailed); days outside of the
/// limits; no permission.
pub async fn put(
    engine: &Engine,
    actor: &Actor,
    input: RetentionInput,
    condition: &Precondition,
) -> Result<RetentionView> {
    actor.require(Permission::EditAccount)?;
    let days = input.parse()?;
    let account_id = actor.account_id();
    let default = engine.retention().keep;
    engine
        .database()
        .transaction("set_retention", async |tx| {
            let old = lock(tx, account_id).await?;
            let now = tx.time_after(0).await?;
            let unconfirmed = unconfirmed(&mut **tx, account_id).await?;
            condition.check(Some(&view(engine, &old, unconfirmed, now)))?;
            let new = old.changed(days, default, now);
            save(tx, account_id, &new).await?;
            let change = Change::of(KIND, IDENTIFIER, "UPDATE", old.audited(), new.audited());
            record(tx, actor, change).await?;
            Ok(view(engine, &new, unconfirmed, now))
        })
        .await
}

/// Locks the setting of an account, which is created if it has none.
async fn lock(tx: &mut WriteTx, account_id: i64) -> Result<Setting> {
    sqlx::query(
        "INSERT INTO retention_setting (account_id, days, previous_days, effective, updated) \
         VALUES ($1, NULL, NULL, 0, 0) ON CONFLICT (account_id) DO NOTHING",
    )
    .bind(account_id)
    .execute(&mut **tx)
    .await?;
    let query = sqlx::query_as(tx.dialect().pick(
        "SELECT days, previous_days, effective, updated FROM retention_setting WHERE account_id = $1",
        "SELECT days, previous_days, effective, updated FROM retention_setting WHERE account_id = $1 FOR UPDATE",
    ));
    Ok(query.bind(account_id).fetch_one(&mut **tx).await?)
}

async fn save(tx: &mut WriteTx, account_id: i64, setting: &Setting) -> Result<()> {
    sqlx::query(
        "UPDATE retention_setting SET days = $2, previous_days = $3, effective = $4, updated = $5 WHERE account_id = $1",
    )
    .bind(account_id)
    .bind(setting.days)
    .bind(setting.previous_days)
    .bind(setting.effective)
    .bind(setting.updated)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The removal that an admin of the account has to confirm.
pub(super) async fn unconfirmed(executor: impl AnyExecutor<'_>, account_id: i64) -> Result<Option<UnconfirmedRemoval>> {
    let found: Option<(Sequence, i64)> = sqlx::query_as(
        "SELECT a.unconfirmed_sequence, \
                a.unconfirmed_sequence - a.first_sequence + 1 \
                - CAST(coalesce((SELECT sum(CASE WHEN g.last_sequence < a.unconfirmed_sequence THEN g.last_sequence \
                                                 ELSE a.unconfirmed_sequence END \
                                            - CASE WHEN g.first_sequence > a.first_sequence THEN g.first_sequence \
                                                   ELSE a.first_sequence END + 1) \
                                 FROM sequence_gap g \
                                 WHERE g.account_id = a.id \
                                   AND g.last_sequence >= a.first_sequence \
                                   AND g.first_sequence <= a.unconfirmed_sequence), 0) AS BIGINT) AS events \
         FROM account a \
         WHERE a.id = $1 AND a.unconfirmed_sequence >= a.first_sequence",
    )
    .bind(account_id)
    .fetch_optional(executor)
    .await?;
    Ok(found.map(|(last_sequence, events)| UnconfirmedRemoval { events, last_sequence }))
}

fn view(
    engine: &Engine,
    setting: &Setting,
    unconfirmed: Option<UnconfirmedRemoval>,
    now: EpochMillis,
) -> RetentionView {
    let default = engine.retention().keep;
    RetentionView {
        days: whole_days(setting.keep(default, now)),
        own_days: setting.days.and_then(|days| u32::try_from(days).ok()),
        default_days: whole_days(default),
        shortened_from: setting.shortened_from(default, now),
        unconfirmed,
        updated: (setting.updated > 0).then_some(setting.updated),
    }
}

/// Shortens the delay of a change that was made while the clock was ahead.
pub(super) async fn correct(tx: &mut WriteTx, now: EpochMillis) -> Result<()> {
    sqlx::query("UPDATE retention_setting SET effective = $1 WHERE effective > $1")
        .bind(now + SHORTENED_AFTER)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMillis = 1_800_000_000_000;
    const DEFAULT: Duration = Duration::from_secs(730 * 86_400);

    fn days(setting: &Setting, now: EpochMillis) -> u32 {
        whole_days(setting.keep(DEFAULT, now))
    }

    #[test]
    fn a_shorter_retention_applies_after_a_day_and_a_longer_one_at_once() {
        let shorter = Setting::default().changed(Some(30), DEFAULT, NOW);
        assert_eq!(days(&shorter, NOW), 730);
        assert_eq!(shorter.shortened_from(DEFAULT, NOW), Some(NOW + DAY));
        assert_eq!(days(&shorter, NOW + DAY), 30);
        assert!(shorter.took_effect_after(NOW, NOW + DAY) && !shorter.took_effect_after(NOW, NOW));
        let longer = shorter.changed(Some(1_000), DEFAULT, NOW + DAY);
        assert_eq!(days(&longer, NOW + DAY), 1_000);
        assert_eq!(longer.shortened_from(DEFAULT, NOW + DAY), None);
    }

    #[test]
    fn a_shorter_retention_can_be_withdrawn_and_changed_before_it_applies() {
        let shorter = Setting::default().changed(Some(30), DEFAULT, NOW);
        let withdrawn = shorter.changed(None, DEFAULT, NOW + DAY / 2);
        assert_eq!(days(&withdrawn, NOW + DAY), 730);
        assert_eq!(withdrawn.shortened_from(DEFAULT, NOW + DAY / 2), None);
        let again = shorter.changed(Some(60), DEFAULT, NOW + DAY / 2);
        assert_eq!(days(&again, NOW + DAY), 730, "its own day begins now");
        assert_eq!(days(&again, NOW + DAY / 2 + DAY), 60);
    }
}
