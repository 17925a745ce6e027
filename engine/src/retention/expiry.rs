//! Which events of an account have expired, and which of them may be removed.

use std::time::Duration;

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::account_setting::{Setting, setting};
use crate::Engine;
use crate::database::Database;
use crate::error::Result;
use crate::trail::gaps::missing_between;

/// By how much a removal may exceed the one that elapsed time explains, ms.
const TOLERANCE: i64 = 60 * 60_000;

/// The events of an account that have expired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    /// Events received before this time have expired.
    pub(super) cutoff: EpochMillis,
    /// The last one that may be removed.
    pub(super) removable: Sequence,
}

/// The state of an account's retention.
#[derive(Clone, Copy, Debug, FromRow)]
struct State {
    first_sequence: Sequence,
    last_sequence: Sequence,
    expired_sequence: Sequence,
    unconfirmed_sequence: Sequence,
    confirmed_sequence: Sequence,
    swept: EpochMillis,
    swept_cutoff: EpochMillis,
    created: EpochMillis,
}

/// Events that have expired since the last sweep.
#[derive(Clone, Copy, Debug)]
struct NewlyExpired {
    events: i64,
    /// The number of events of the trail. Declared gaps have none.
    of: i64,
    /// The receipt of the last one of their first segment.
    received: EpochMillis,
}

/// The last event of a segment and its receipt. A segment expires with that event.
#[derive(FromRow)]
struct Received {
    sequence: Sequence,
    received: EpochMillis,
}

/// Whether the events found expired still are: the retention may have been lengthened since.
pub(super) async fn still_applies(engine: &Engine, account_id: i64, now: EpochMillis, expiry: Expiry) -> Result<bool> {
    let setting = setting(engine.database().read(), account_id).await?;
    let keep = millis(setting.keep(engine.retention().keep, now));
    Ok(now.saturating_sub(keep) >= expiry.cutoff)
}

/// Finds the expired events and notes the last one. `None` if nothing has expired.
pub(super) async fn find_expired(engine: &Engine, account_id: i64, now: EpochMillis) -> Result<Option<Expiry>> {
    let database = engine.database();
    let state: State = sqlx::query_as(
        "SELECT first_sequence, last_sequence, expired_sequence, unconfirmed_sequence, confirmed_sequence, swept, \
         swept_cutoff, created FROM account WHERE id = $1",
    )
    .bind(account_id)
    .fetch_one(database.read())
    .await?;
    let setting = setting(database.read(), account_id).await?;
    let keep = millis(setting.keep(engine.retention().keep, now));
    let cutoff = now.saturating_sub(keep);
    let known = state.known();
    if let Some(expired) = after_lengthening(database, account_id, &state, cutoff).await? {
        note(engine, account_id, &state, expired, None, (now, cutoff)).await?;
        return Ok((expired >= state.first_sequence).then_some(Expiry {
            cutoff,
            removable: expired,
        }));
    }
    let next = first_after(database, account_id, known).await?;
    let (expired, newly) = match next {
        Some(next) if next.received < cutoff => {
            let expired = last_before(database, account_id, next.sequence, state.last_sequence, cutoff).await?;
            let before = state.first_sequence - 1;
            let newly = NewlyExpired {
                events: expired - known - missing_between(database.read(), account_id, known, expired).await?,
                of: state.last_sequence
                    - before
                    - missing_between(database.read(), account_id, before, state.last_sequence).await?,
                received: next.received,
            };
            (expired, Some(newly))
        }
        _ => (known, None),
    };
    let share = engine.retention().confirm_above;
    let doubtful = newly.filter(|newly| !is_explained(&state, newly, &setting, now, keep, share));
    note(engine, account_id, &state, expired, doubtful, (now, cutoff)).await?;
    let removable = if doubtful.is_some() { known } else { expired };
    Ok((removable >= state.first_sequence).then_some(Expiry { cutoff, removable }))
}

impl State {
    /// The last event of which earlier sweeps, or an admin, knew that it has expired.
    fn known(&self) -> Sequence {
        self.expired_sequence
            .max(self.confirmed_sequence)
            .max(self.first_sequence - 1)
    }
}

/// Returns the last expired event if events that had expired are young again, since the retention
/// has become longer.
async fn after_lengthening(
    database: &Database,
    account_id: i64,
    state: &State,
    cutoff: EpochMillis,
) -> Result<Option<Sequence>> {
    let known = state.known();
    if known < state.first_sequence {
        return Ok(None);
    }
    let last = first_after(database, account_id, known - 1).await?;
    if last.is_none_or(|last| last.received < cutoff) {
        return Ok(None);
    }
    let before_first = state.first_sequence - 1;
    let first = first_after(database, account_id, before_first).await?;
    Ok(Some(match first {
        Some(first) if first.received < cutoff => {
            last_before(database, account_id, first.sequence, known, cutoff).await?
        }
        _ => before_first,
    }))
}

/// Whether a removal needs no confirmation: it is small, or follows from the elapsed time or from
/// a change of the account's retention.
fn is_explained(
    state: &State,
    newly: &NewlyExpired,
    setting: &Setting,
    now: EpochMillis,
    keep: i64,
    share: u8,
) -> bool {
    if newly.events.saturating_mul(100) <= newly.of.saturating_mul(i64::from(share)) {
        return true;
    }
    let (swept, swept_cutoff) = match state.swept {
        0 => (state.created, state.created.saturating_sub(keep)),
        swept => (swept, state.swept_cutoff),
    };
    if setting.took_effect_after(swept, now) {
        return true;
    }
    let moved_by = now.saturating_sub(keep).saturating_sub(swept_cutoff);
    let elapsed = now.saturating_sub(swept);
    newly.received >= swept_cutoff.saturating_sub(TOLERANCE) && moved_by <= elapsed.saturating_add(TOLERANCE)
}

/// Notes the last expired event, or that a removal, the `doubtful` one, has to be confirmed.
async fn note(
    engine: &Engine,
    account_id: i64,
    state: &State,
    expired: Sequence,
    doubtful: Option<NewlyExpired>,
    (now, cutoff): (EpochMillis, EpochMillis),
) -> Result<()> {
    let is_doubtful = doubtful.is_some();
    let unconfirmed = if is_doubtful { expired } else { 0 };
    let is_new = !is_doubtful && expired != state.expired_sequence;
    if unconfirmed == state.unconfirmed_sequence && !is_new && state.swept != 0 {
        return Ok(());
    }
    if let Some(NewlyExpired { events, .. }) = doubtful.filter(|_| state.unconfirmed_sequence == 0) {
        tracing::error!(
            account_id,
            events,
            "more old events than elapsed time explains are retained until an admin confirms their removal, on the page \
             Retention or with POST /v1/retention/confirm"
        );
    }
    engine
        .database()
        .background()
        .transaction("note_expired", async |tx| {
            sqlx::query(
                "UPDATE account SET unconfirmed_sequence = $2, \
                 expired_sequence = CASE WHEN $3 = 1 THEN $4 ELSE expired_sequence END, \
                 confirmed_sequence = CASE WHEN $3 = 1 AND confirmed_sequence > $4 THEN $4 ELSE confirmed_sequence END, \
                 swept = CASE WHEN $5 = 1 THEN $6 ELSE swept END, \
                 swept_cutoff = CASE WHEN $5 = 1 THEN $7 ELSE swept_cutoff END \
                 WHERE id = $1",
            )
            .bind(account_id)
            .bind(unconfirmed)
            .bind(i64::from(is_new))
            .bind(expired)
            .bind(i64::from(is_new || state.swept == 0 && !is_doubtful))
            .bind(now)
            .bind(cutoff)
            .execute(&mut **tx)
            .await?;
            Ok(())
        })
        .await
}

/// Finds the segment with the first event after `sequence`.
async fn first_after(database: &Database, account_id: i64, sequence: Sequence) -> Result<Option<Received>> {
    let query = sqlx::query_as(
        "SELECT last_sequence AS sequence, last_received AS received
         FROM audit_segment
         WHERE account_id = $1
           AND last_sequence > $2
         ORDER BY last_sequence
         LIMIT 1",
    );
    Ok(query
        .bind(account_id)
        .bind(sequence)
        .fetch_optional(database.read())
        .await?)
}

/// Finds the last segment received before `cutoff` by binary search, and returns its last event;
/// `first` ends one of them.
async fn last_before(
    database: &Database,
    account_id: i64,
    first: Sequence,
    last: Sequence,
    cutoff: EpochMillis,
) -> Result<Sequence> {
    let (mut old, mut young) = (first, last + 1);
    while young - old > 1 {
        let middle = old + (young - old) / 2;
        match first_after(database, account_id, middle - 1).await? {
            Some(event) if event.received < cutoff => old = event.sequence.min(young - 1).max(middle),
            _ => young = middle,
        }
    }
    Ok(old)
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    const NOW: EpochMillis = 1_800_000_000_000;
    const KEEP: i64 = 2 * YEAR;

    /// An account with 1,000 events that was swept an hour ago.
    fn swept() -> State {
        State {
            first_sequence: 1,
            last_sequence: 1_000,
            expired_sequence: 0,
            unconfirmed_sequence: 0,
            confirmed_sequence: 0,
            swept: NOW - HOUR,
            swept_cutoff: NOW - HOUR - KEEP,
            created: NOW - 3 * YEAR,
        }
    }

    fn explained(state: &State, events: i64, received: EpochMillis, keep: i64) -> bool {
        let newly = NewlyExpired {
            events,
            of: 1_000,
            received,
        };
        is_explained(state, &newly, &Setting::default(), NOW, keep, 50)
    }

    #[test]
    fn elapsed_time_explains_a_removal_of_any_size() {
        assert!(explained(&swept(), 1_000, NOW - HOUR - KEEP, KEEP));
        let a_month_ago = State {
            swept: NOW - 30 * DAY,
            swept_cutoff: NOW - 30 * DAY - KEEP,
            ..swept()
        };
        assert!(explained(&a_month_ago, 900, NOW - 30 * DAY - KEEP, KEEP));
        let never = State {
            swept: 0,
            swept_cutoff: 0,
            ..swept()
        };
        assert!(explained(&never, 1_000, never.created, KEEP));
    }

    #[test]
    fn a_shorter_default_and_older_events_than_there_can_be_explain_only_half() {
        assert!(explained(&swept(), 500, 1, KEEP));
        assert!(!explained(&swept(), 501, 1, KEEP), "they should have gone long ago");
        assert!(!explained(&swept(), 501, NOW - YEAR, DAY), "the default became shorter");
    }

    #[test]
    fn a_change_of_the_accounts_retention_explains_a_removal() {
        let setting = Setting::of(Some(1), None, NOW - HOUR / 2);
        let newly = NewlyExpired {
            events: 1_000,
            of: 1_000,
            received: NOW - YEAR,
        };
        assert!(is_explained(&swept(), &newly, &setting, NOW, DAY, 50));
        let long_ago = Setting::of(Some(1), None, NOW - DAY);
        assert!(!is_explained(&swept(), &newly, &long_ago, NOW, DAY, 50));
    }
}
