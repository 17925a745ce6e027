//! Merges small segments, which many commits have written, into a few of full size, which take less
//! space and are read faster. Segments of different partitions are never merged.
//!
//! A group of neighbours is read and compressed without any lock; one transaction then replaces
//! their rows, if those are still the same. The events keep their sequences and every byte. Only
//! the segment has a time of receipt. Therefore only events received within a minute are merged,
//! and within a day once they are older than that.

mod plan;
mod replace;

use std::time::{Duration, Instant};

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use self::plan::{Pass, plan, read_heads};
use self::replace::{add_account, merge_groups};
use crate::database::{Database, Dialect, WriteTx};
use crate::error::{Error, Result};
use crate::task::{Stop, Task};
use crate::{Engine, failpoint};

pub(super) use self::plan::select_heads;
pub(crate) use self::replace::lock;
pub(super) use self::replace::select_rows;

/// The time for which a server claims an account, ms.
const CLAIM: i64 = 60_000;

/// The times that decide when small segments are merged.
#[derive(Clone, Copy, Debug)]
pub struct Merging {
    /// Time between two looks for recent segments.
    pub every: Duration,
    /// Time between two looks for segments older than a day.
    pub every_older: Duration,
    /// The age at which a segment is merged with others that were received up to a minute later.
    pub settle: Duration,
}

impl Default for Merging {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5),
            every_older: Duration::from_secs(3_600),
            settle: Duration::from_secs(300),
        }
    }
}

/// Starts to merge the segments of all accounts at regular intervals. Stops after the current step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("merging", engine.metrics().clone(), move |stop| {
        run(engine.clone(), stop)
    })
}

async fn run(engine: Engine, mut stop: Stop) {
    let Merging { every, every_older, .. } = *engine.merging();
    let mut looked_at_older: Option<Instant> = None;
    while !*stop.borrow() {
        failpoint::reached("merging.look").await;
        merge_all(&engine, Pass::Recent, &stop).await;
        if looked_at_older.is_none_or(|looked| looked.elapsed() >= every_older) {
            merge_all(&engine, Pass::Older, &stop).await;
            looked_at_older = Some(Instant::now());
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// The progress of an account.
#[derive(Clone, Copy, Debug, FromRow)]
struct Account {
    id: i64,
    last_sequence: Sequence,
    /// The last sequences that retention has removed or is about to remove.
    expired_sequence: Sequence,
    unconfirmed_sequence: Sequence,
    confirmed_sequence: Sequence,
    /// The last sequences that each pass has completed.
    merged: Sequence,
    merged_older: Sequence,
}

impl Account {
    /// The last sequence that a pass has completed.
    fn done(&self, pass: Pass) -> Sequence {
        match pass {
            Pass::Recent => self.merged,
            Pass::Older => self.merged_older,
        }
    }

    /// The sequence after which a pass continues.
    fn after(&self, pass: Pass) -> Sequence {
        let removing = self
            .expired_sequence
            .max(self.unconfirmed_sequence)
            .max(self.confirmed_sequence);
        self.done(pass).max(removing)
    }

    /// The last sequence that a pass may look at.
    fn up_to(&self, pass: Pass) -> Sequence {
        match pass {
            Pass::Recent => self.last_sequence,
            Pass::Older => self.merged,
        }
    }
}

const SELECT_ACCOUNTS: &str = "
    SELECT a.id, a.last_sequence, a.expired_sequence, a.unconfirmed_sequence, a.confirmed_sequence,
           coalesce(m.merged, 0) AS merged, coalesce(m.merged_older, 0) AS merged_older
    FROM account a
    LEFT JOIN segment_merge m ON m.account_id = a.id
    ORDER BY a.id";

async fn merge_all(engine: &Engine, pass: Pass, stop: &Stop) {
    let accounts: Result<Vec<Account>, _> = sqlx::query_as(SELECT_ACCOUNTS)
        .fetch_all(engine.database().read())
        .await;
    let accounts = match accounts {
        Ok(accounts) => accounts,
        Err(error) => {
            let error = Error::from(error);
            tracing::error!(%error, "accounts cannot be read; their small segments are merged later");
            return;
        }
    };
    for account in accounts {
        if account.after(pass) < account.up_to(pass)
            && let Err(error) = merge_account(engine, account, pass, stop).await
        {
            tracing::error!(
                account_id = account.id,
                %error,
                "small segments of an account cannot be merged; retrying later"
            );
        }
    }
}

/// Merges everything that can be merged now.
async fn merge_account(engine: &Engine, account: Account, pass: Pass, stop: &Stop) -> Result<()> {
    let mut is_claimed = false;
    let merged = merge_steps(engine, account, pass, stop, &mut is_claimed).await;
    if is_claimed {
        release(engine.database(), account.id).await?;
    }
    merged
}

/// Merges step by step, under a claim from the first step that has something to merge.
async fn merge_steps(engine: &Engine, account: Account, pass: Pass, stop: &Stop, is_claimed: &mut bool) -> Result<()> {
    let database = engine.database();
    let settle = i64::try_from(engine.merging().settle.as_millis()).unwrap_or(i64::MAX);
    let mut after = account.after(pass);
    let mut done = account.done(pass);
    while !*stop.borrow() {
        let heads = read_heads(database, account.id, after, account.up_to(pass)).await?;
        let now = database.clock().now();
        let plan = plan(&heads, pass, now, settle);
        let Some(reached) = plan.reached else { break };
        if !*is_claimed && !claim(database, account.id, now).await? {
            break;
        }
        *is_claimed = true;
        match merge_groups(database, account.id, pass, (done, reached), plan.groups).await {
            Ok(true) => {}
            // The rows or the progress have changed: another server was faster, or retention
            // removed events.
            Ok(false) => break,
            Err(Error::Broken(why)) => {
                tracing::error!(
                    account_id = account.id,
                    why,
                    "segments are damaged; they are left as they are"
                );
                merge_groups(database, account.id, pass, (done, reached), Vec::new()).await?;
            }
            Err(error) => return Err(error),
        }
        (after, done) = (reached, reached);
    }
    Ok(())
}

/// Claims the merges of an account, so that servers do not do the same work at once, of which only
/// one would succeed. Returns `false` if another server has claimed them.
async fn claim(database: &Database, account_id: i64, now: EpochMillis) -> Result<bool> {
    if database.dialect() == Dialect::Sqlite {
        return Ok(true);
    }
    let take = async |tx: &mut WriteTx| {
        add_account(tx, account_id).await?;
        let taken =
            sqlx::query("UPDATE segment_merge SET claimed_until = $2 WHERE account_id = $1 AND claimed_until <= $3")
                .bind(account_id)
                .bind(now + CLAIM)
                .bind(now)
                .execute(&mut **tx)
                .await?;
        Ok(taken.rows_affected() == 1)
    };
    database.background().transaction("claim_merging", take).await
}

async fn release(database: &Database, account_id: i64) -> Result<()> {
    if database.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let give_back = async |tx: &mut WriteTx| {
        sqlx::query("UPDATE segment_merge SET claimed_until = 0 WHERE account_id = $1")
            .bind(account_id)
            .execute(&mut **tx)
            .await?;
        Ok(())
    };
    database.background().transaction("release_merging", give_back).await
}
