//! Removes the events of a whole month on PostgreSQL, by dropping its partitions.
//!
//! Only the oldest month that has partitions is looked at. Once the retention of all accounts with
//! events in it has reached the month, its events are no longer deleted one by one: at its end they
//! go together. They are retained for up to a month longer, which is little next to a retention of
//! [`LONG`] and saves most of the work. Events that a destination has yet to receive are moved
//! aside if they are few; otherwise the month is removed step by step, as those of shorter
//! retentions.

use std::time::Duration;

use auditstream_model::{EpochMillis, Sequence};

use super::account_setting::setting;
use super::expiry::{find_expired, millis};
use super::remove::{self, Release};
use crate::Engine;
use crate::database::Dialect;
use crate::database::errors::is_concurrent_change;
use crate::error::{Error, Result};
use crate::months::{month_of, start_of};
use crate::trail::partitions::{self, IdPlace, Moved};

/// The retention, in ms, from which on events can be retained for a month longer.
const LONG: i64 = 60 * 86_400_000;
/// The most events of a month that are moved aside.
const FEW: i64 = 200_000;

/// Drops the partitions of the months whose events can all be removed. Returns the month whose
/// events are not to be deleted one by one.
pub(super) async fn remove_months(engine: &Engine, now: EpochMillis) -> Result<Option<i64>> {
    let database = engine.database();
    if database.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let mut after = 0;
    // The month before this one may still get events from a clock that differs a little.
    while let Some(month) = partitions::oldest(database, after, month_of(now) - 2).await? {
        let accounts = partitions::live_accounts(database.read(), month).await?;
        let mut begins: Option<EpochMillis> = None;
        let mut is_long = true;
        for account in &accounts {
            let setting = setting(database.read(), account.account_id).await?;
            let keep = millis(setting.keep(engine.retention().keep, now));
            let cutoff = now.saturating_sub(keep);
            begins = Some(begins.map_or(cutoff, |begins| begins.min(cutoff)));
            is_long &= keep >= LONG;
        }
        if let Some(cutoff) = begins {
            if cutoff < start_of(month + 1) {
                return Ok((is_long && cutoff >= start_of(month)).then_some(month));
            }
            for account in &accounts {
                if !release(engine, account.account_id, month, account.last_sequence, now).await? {
                    return Ok(Some(month));
                }
            }
        }
        match partitions::drop_month(database, month).await {
            Ok(true) => after = month,
            Ok(false) => return Ok(None),
            Err(Error::Database(error)) if is_concurrent_change(&error) => {
                tracing::debug!(%error, month, "partitions are removed by another server, or in use");
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Removes the events of a month from the trail of an account, apart from those that a destination
/// needs, which are moved aside. They are deleted when the partitions are dropped. Without effect
/// if the events have to stay. Returns `false` if it is to be tried again at the next sweep.
async fn release(engine: &Engine, account_id: i64, month: i64, last: Sequence, now: EpochMillis) -> Result<bool> {
    let Some(expiry) = find_expired(engine, account_id, now).await? else {
        return Ok(true);
    };
    if expiry.removable < last {
        return Ok(true);
    }
    match remove::release_month(engine, account_id, expiry, month, last).await? {
        Release::Busy => return Ok(false),
        Release::UpTo(up_to) if up_to < last && last - up_to <= FEW => set_aside(engine, account_id, month).await?,
        Release::Blocked | Release::UpTo(_) => {}
    }
    Ok(true)
}

async fn set_aside(engine: &Engine, account_id: i64, month: i64) -> Result<()> {
    let database = engine.database();
    // The ids first: without segments in the month, its partitions may be dropped.
    let mut place = Some(IdPlace::default());
    while let Some(from) = place {
        place = partitions::set_ids_aside(database, account_id, month, &from).await?;
        pause(engine).await;
    }
    // Another server may be at work; the next sweep continues.
    while let Moved::UpTo(_) = partitions::set_aside(database, account_id, month).await? {
        pause(engine).await;
    }
    Ok(())
}

async fn pause(engine: &Engine) {
    let pause = if engine.writer().waiting_bytes() > 0 {
        engine.retention().pause
    } else {
        Duration::ZERO
    };
    tokio::time::sleep(pause).await;
}
