//! Merges small segments: what many commits have written becomes few segments of full size, which
//! are smaller and are read faster.
//!
//! A group of neighbours is read and compressed without any lock; one transaction then replaces
//! their rows, if those are still the same. The events keep their sequences and every byte. The
//! receipt of an event is known to the segment alone, so that only events received within a minute
//! are merged, and within a day once they are older than that.

use std::time::{Duration, Instant};

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::codec::{Decoded, Encoded, Encoder};
use super::events::payload;
use super::rows::{Row, Via, decompress};
use super::{SEGMENT_BYTES, SEGMENT_EVENTS, damaged};
use crate::database::{Database, Dialect, Value, WriteTx};
use crate::error::{Error, Result};
use crate::task::{Stop, Task};
use crate::{Engine, failpoint};

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
/// Events of a full segment that were received within this time are merged at once, ms: it hides
/// nothing of when they came.
const AT_ONCE: i64 = 1_000;
/// Segments of which places, sizes and receipts are read at once.
const HEADS: i64 = 2_000;
/// Payload bytes that one transaction replaces.
const STEP_BYTES: usize = 4 << 20;
/// How long a server has an account to itself, ms.
const CLAIM: i64 = 60_000;

/// How often small segments are merged.
#[derive(Clone, Copy, Debug)]
pub struct Merging {
    /// Time between two looks for recent segments.
    pub every: Duration,
    /// Time between two looks for segments older than a day.
    pub every_older: Duration,
    /// How old a segment is before it is merged with others that came up to a minute later.
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

/// Which segments are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    /// Those received within a minute of each other.
    Recent,
    /// Those older than a day, within a day of each other.
    Older,
}

impl Pass {
    /// The longest time between the first and the last receipt of a segment, ms.
    fn span(self) -> i64 {
        match self {
            Self::Recent => MINUTE,
            Self::Older => DAY,
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
    /// The last sequences that each pass is done with.
    merged: Sequence,
    merged_older: Sequence,
}

impl Account {
    /// The last sequence that a pass is done with.
    fn after(&self, pass: Pass) -> Sequence {
        let done = match pass {
            Pass::Recent => self.merged,
            Pass::Older => self.merged_older,
        };
        let removing = self
            .expired_sequence
            .max(self.unconfirmed_sequence)
            .max(self.confirmed_sequence);
        done.max(removing)
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
    let database = engine.database();
    let settle = i64::try_from(engine.merging().settle.as_millis()).unwrap_or(i64::MAX);
    let mut after = account.after(pass);
    let mut is_claimed = false;
    while !*stop.borrow() {
        let heads = read_heads(database, account.id, after, account.up_to(pass)).await?;
        let now = database.clock().now();
        let plan = plan(&heads, pass, now, settle);
        let Some(reached) = plan.reached else { break };
        if !is_claimed && !claim(database, account.id, now).await? {
            return Ok(());
        }
        is_claimed = true;
        match merge_groups(database, account.id, pass, (after, reached), plan.groups).await {
            Ok(true) => {}
            // The rows have changed: another server was faster, or retention removed them.
            Ok(false) => break,
            Err(Error::Broken(why)) => {
                tracing::error!(
                    account_id = account.id,
                    why,
                    "segments are damaged; they are left as they are"
                );
                merge_groups(database, account.id, pass, (after, reached), Vec::new()).await?;
            }
            Err(error) => return Err(error),
        }
        after = reached;
    }
    if is_claimed {
        release(database, account.id).await?;
    }
    Ok(())
}

/// Adds the row of an account that has none.
async fn add_account(tx: &mut WriteTx, account_id: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO segment_merge (account_id, merged, merged_older, claimed_until) VALUES ($1, 0, 0, 0) \
         ON CONFLICT (account_id) DO NOTHING",
    )
    .bind(account_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Keeps other servers from the same work for a while: without that, only one of them would
/// succeed. Returns `false` if another one has it.
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

/// The place, the size and the receipts of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
struct Head {
    first_sequence: Sequence,
    last_sequence: Sequence,
    received: EpochMillis,
    last_received: EpochMillis,
    bytes_before: i64,
    bytes: i64,
}

impl Head {
    fn events(&self) -> i64 {
        self.last_sequence - self.first_sequence + 1
    }
}

pub(super) const SELECT_HEADS: &str = "
    SELECT first_sequence, last_sequence, received, last_received, bytes_before, bytes
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence > $2 AND last_sequence <= $3 AND first_sequence > $2
    ORDER BY last_sequence
    LIMIT $4";

async fn read_heads(database: &Database, account_id: i64, after: Sequence, up_to: Sequence) -> Result<Vec<Head>> {
    let query = sqlx::query_as(SELECT_HEADS).bind(account_id).bind(after).bind(up_to);
    Ok(query.bind(HEADS).fetch_all(database.read()).await?)
}

/// What is merged next.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// The last sequence that is done with, if any.
    reached: Option<Sequence>,
    groups: Vec<Vec<Head>>,
}

/// Divides segments into groups that become one each. A group that may grow, or that is too young,
/// waits, and so do those after it.
fn plan(heads: &[Head], pass: Pass, now: EpochMillis, settle: i64) -> Plan {
    let mut plan = Plan::default();
    let mut bytes = 0;
    let mut rest = heads;
    while let Some(first) = rest.first() {
        let length = group_length(rest, pass);
        let (group, after) = rest.split_at(length);
        let last = group.last().unwrap_or(first);
        let is_closed = !after.is_empty();
        let settle = match pass {
            Pass::Recent => settle,
            Pass::Older => DAY,
        };
        // What comes now was received too late for a group that is older than its span.
        let has_settled = last.last_received < now.saturating_sub(settle);
        let may_be_done = has_settled || is_closed && last.last_received - first.received <= AT_ONCE;
        let size: i64 = group.iter().map(|head| head.bytes).sum();
        bytes += size;
        if !may_be_done || !plan.groups.is_empty() && bytes > i64::try_from(STEP_BYTES).unwrap_or(i64::MAX) {
            break;
        }
        plan.reached = Some(last.last_sequence);
        if length > 1 {
            plan.groups.push(group.to_vec());
        } else {
            bytes -= size;
        }
        rest = after;
    }
    plan
}

/// Returns how many segments, from the first, become one: at least one.
fn group_length(heads: &[Head], pass: Pass) -> usize {
    let Some(first) = heads.first() else { return 0 };
    let (mut events, mut bytes) = (first.events(), first.bytes);
    let mut last = first;
    let fitting = heads.iter().skip(1).take_while(|head| {
        events += head.events();
        bytes += head.bytes;
        let fits = head.first_sequence == last.last_sequence + 1
            && head.received >= last.last_received
            && head.last_received - first.received <= pass.span()
            && usize::try_from(events).is_ok_and(|events| events <= SEGMENT_EVENTS)
            && usize::try_from(bytes).is_ok_and(|bytes| bytes <= SEGMENT_BYTES);
        last = head;
        fits
    });
    1 + fitting.count()
}

/// A segment that replaces a group.
struct Merged {
    group: Vec<Head>,
    first: Head,
    last: Head,
    encoded: Encoded,
}

/// Merges groups and notes that everything up to `reached` is done. Returns `false` if the segments
/// have changed since they were read.
async fn merge_groups(
    database: &Database,
    account_id: i64,
    pass: Pass,
    (after, reached): (Sequence, Sequence),
    groups: Vec<Vec<Head>>,
) -> Result<bool> {
    let mut merged = Vec::with_capacity(groups.len());
    for group in groups {
        match merge_group(database, account_id, group).await? {
            Some(one) => merged.push(one),
            None => return Ok(false),
        }
    }
    let replace = async |tx: &mut WriteTx| {
        if !lock(tx).await? {
            return tx.roll_back(false);
        }
        for one in &merged {
            if !replace(tx, account_id, one).await? {
                return tx.roll_back(false);
            }
        }
        add_account(tx, account_id).await?;
        let noted = sqlx::query(match pass {
            Pass::Recent => "UPDATE segment_merge SET merged = $2 WHERE account_id = $1 AND merged <= $3",
            Pass::Older => "UPDATE segment_merge SET merged_older = $2 WHERE account_id = $1 AND merged_older <= $3",
        })
        .bind(account_id)
        .bind(reached)
        .bind(after)
        .execute(&mut **tx)
        .await?;
        if noted.rows_affected() != 1 {
            return tx.roll_back(false);
        }
        Ok(true)
    };
    database.background().transaction("merge_segments", replace).await
}

pub(super) const SELECT_ROWS: &str = "
    SELECT first_sequence, last_sequence, received, bytes, times, content
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3
    ORDER BY last_sequence";

/// Reads a group and encodes it as one segment. `None` if its rows are gone.
async fn merge_group(database: &Database, account_id: i64, group: Vec<Head>) -> Result<Option<Merged>> {
    let (Some(first), Some(last)) = (group.first().copied(), group.last().copied()) else {
        return Ok(None);
    };
    let values = [account_id, first.first_sequence, last.last_sequence].map(Value::Integer);
    let rows: Vec<Row> = Via::Pool(database.read()).fetch(SELECT_ROWS, values.to_vec()).await?;
    let is_same = rows.len() == group.len()
        && rows
            .iter()
            .zip(&group)
            .all(|(row, head)| (row.first_sequence, row.last_sequence) == (head.first_sequence, head.last_sequence));
    if !is_same {
        return Ok(None);
    }
    let bytes = rows.iter().map(Row::size).sum();
    let encoded = decompress(bytes, move |zstd| encode_together(&rows, zstd)).await?;
    Ok(Some(Merged {
        group,
        first,
        last,
        encoded,
    }))
}

/// Encodes the events of segments as one, and checks that they can be read from it.
fn encode_together(rows: &[Row], zstd: &mut zstd::bulk::Decompressor<'_>) -> Result<Encoded> {
    let mut encoder = Encoder::new()?;
    let mut segments = Vec::with_capacity(rows.len());
    for row in rows {
        let segment = row.decode(zstd)?;
        for (index, time) in segment.times.iter().enumerate() {
            encoder.push(*time, payload(&segment.text, &segment.ends, index));
        }
        segments.push(segment);
    }
    let encoded = encoder.finish()?;
    let is_equal = encoded.decode(zstd).is_some_and(|merged| {
        let mut at = 0..merged.times.len();
        let is_next = |(segment, index): (&Decoded, usize)| {
            at.next().is_some_and(|at| {
                merged.times.get(at) == segment.times.get(index)
                    && payload(&merged.text, &merged.ends, at) == payload(&segment.text, &segment.ends, index)
            })
        };
        let events = segments
            .iter()
            .flat_map(|it| (0..it.times.len()).map(move |index| (it, index)));
        let mut events = events.map(is_next);
        events.all(|is_next| is_next)
    });
    match (is_equal, rows) {
        (true, _) => Ok(encoded),
        (false, [first, .., last]) => Err(damaged(first.first_sequence, last.last_sequence)),
        (false, _) => Err(Error::Broken("there are no segments to merge".to_owned())),
    }
}

/// Replaces the rows of a group. Returns `false` if they have changed.
async fn replace(tx: &mut WriteTx, account_id: i64, merged: &Merged) -> Result<bool> {
    let lock = tx.dialect().pick(
        "SELECT first_sequence, last_sequence, received, last_received, bytes_before, bytes FROM audit_segment \
         WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3 ORDER BY last_sequence",
        "SELECT first_sequence, last_sequence, received, last_received, bytes_before, bytes FROM audit_segment \
         WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3 ORDER BY last_sequence FOR UPDATE",
    );
    let range = (merged.first.first_sequence, merged.last.last_sequence);
    let found: Vec<Head> = sqlx::query_as(lock)
        .bind(account_id)
        .bind(range.0)
        .bind(range.1)
        .fetch_all(&mut **tx)
        .await?;
    if found != merged.group {
        return Ok(false);
    }
    sqlx::query("DELETE FROM audit_segment WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3")
        .bind(account_id)
        .bind(range.0)
        .bind(range.1)
        .execute(&mut **tx)
        .await?;
    sqlx::query(super::write::INSERT_SEGMENT)
        .bind(account_id)
        .bind(range.0)
        .bind(range.1)
        .bind(merged.first.received)
        .bind(merged.last.last_received)
        .bind(merged.first.bytes_before)
        .bind(i64::try_from(merged.encoded.bytes).unwrap_or(i64::MAX))
        .bind(merged.encoded.times.as_slice())
        .bind(merged.encoded.content.as_slice())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// The PostgreSQL advisory lock under which one server at a time replaces or removes segments:
/// "retain" in ASCII.
const POSTGRES_LOCK: i64 = 0x7265_7461_696e;

/// Locks out other servers that replace or remove segments. Returns `false` if one is doing that
/// now.
pub(crate) async fn lock(tx: &mut WriteTx) -> Result<bool> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(true);
    }
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(POSTGRES_LOCK)
        .fetch_one(&mut **tx)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMillis = 1_800_000_000_000;
    const SETTLE: i64 = 300_000;

    /// Segments with these numbers of events, received at these ages.
    fn heads(segments: &[(i64, i64)]) -> Vec<Head> {
        let mut last = 0;
        let mut head = |(events, age): &(i64, i64)| {
            let first_sequence = last + 1;
            last += events;
            Head {
                first_sequence,
                last_sequence: last,
                received: NOW - age,
                last_received: NOW - age,
                bytes_before: 0,
                bytes: events * 900,
            }
        };
        segments.iter().map(&mut head).collect()
    }

    fn planned(segments: &[(i64, i64)], pass: Pass) -> (Option<Sequence>, Vec<usize>) {
        let plan = plan(&heads(segments), pass, NOW, SETTLE);
        (plan.reached, plan.groups.iter().map(Vec::len).collect())
    }

    #[test]
    fn full_groups_of_one_moment_are_merged_at_once_and_others_when_they_have_settled() {
        let burst = [(200, 900), (200, 500), (200, 100)];
        assert_eq!(planned(&burst, Pass::Recent), (Some(400), vec![2]));
        let slow = [(200, 30_000), (200, 20_000), (200, 10_000)];
        assert_eq!(planned(&slow, Pass::Recent), (None, vec![]));
        let settled = slow.map(|(events, age)| (events, age + SETTLE));
        assert_eq!(planned(&settled, Pass::Recent), (Some(600), vec![2]));
    }

    #[test]
    fn segments_that_came_at_different_times_or_are_large_enough_stay() {
        let hour = 60 * MINUTE;
        let far_apart = [(1, 3 * hour), (1, 2 * hour), (1, hour)];
        assert_eq!(planned(&far_apart, Pass::Recent), (Some(3), vec![]));
        assert_eq!(
            planned(&far_apart.map(|(events, age)| (events, age + 2 * DAY)), Pass::Older),
            (Some(3), vec![3])
        );
        assert_eq!(planned(&far_apart, Pass::Older), (None, vec![]));
        assert_eq!(
            planned(&[(500, hour), (300, hour), (300, hour)], Pass::Recent),
            (Some(1_100), vec![])
        );
        let set_back = [(1, hour), (1, hour + 10), (1, hour)];
        assert_eq!(planned(&set_back, Pass::Recent), (Some(3), vec![2]));
    }

    #[test]
    fn a_gap_ends_a_group() {
        let mut heads = heads(&[(1, DAY), (1, DAY), (1, DAY)]);
        heads[2].first_sequence += 100;
        heads[2].last_sequence += 100;
        let plan = plan(&heads, Pass::Recent, NOW, SETTLE);
        assert_eq!(
            (plan.reached, plan.groups.len(), plan.groups[0].len()),
            (Some(103), 1, 2)
        );
    }
}
