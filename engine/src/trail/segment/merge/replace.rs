//! Replaces a group of segments by one with the same events.

use auditstream_model::Sequence;

use super::plan::Pass;
use crate::database::{Database, Dialect, Value, WriteTx};
use crate::error::{Error, Result};
use crate::trail::segment::codec::{Decoded, Encoded, Encoder};
use crate::trail::segment::damaged;
use crate::trail::segment::events::payload;
use crate::trail::segment::rows::{Row, Via, decompress};
use crate::trail::segment::write::{Head, insert};

/// A segment that replaces a group.
struct Merged {
    group: Vec<Head>,
    first: Head,
    last: Head,
    encoded: Encoded,
}

/// Merges groups and notes that everything up to `reached` is done. Returns `false` if the segments
/// or the progress, which was `done`, have changed since they were read.
pub(super) async fn merge_groups(
    database: &Database,
    account_id: i64,
    pass: Pass,
    (done, reached): (Sequence, Sequence),
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
            Pass::Recent => "UPDATE segment_merge SET merged = $2 WHERE account_id = $1 AND merged = $3",
            Pass::Older => "UPDATE segment_merge SET merged_older = $2 WHERE account_id = $1 AND merged_older = $3",
        })
        .bind(account_id)
        .bind(reached)
        .bind(done)
        .execute(&mut **tx)
        .await?;
        if noted.rows_affected() != 1 {
            return tx.roll_back(false);
        }
        Ok(true)
    };
    database.background().transaction("merge_segments", replace).await
}

const SELECT_ROWS_SQLITE: &str = "
    SELECT first_sequence, last_sequence, bytes, times, content
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3
    ORDER BY last_sequence";
const SELECT_ROWS_POSTGRES: &str = "
    SELECT first_sequence, last_sequence, bytes, times, content
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3 AND month = $4
    ORDER BY last_sequence";

pub(in super::super) fn select_rows(dialect: Dialect) -> &'static str {
    dialect.pick(SELECT_ROWS_SQLITE, SELECT_ROWS_POSTGRES)
}

/// Reads a group and encodes it as one segment. Returns `None` if its rows no longer exist.
async fn merge_group(database: &Database, account_id: i64, group: Vec<Head>) -> Result<Option<Merged>> {
    let (Some(first), Some(last)) = (group.first().copied(), group.last().copied()) else {
        return Ok(None);
    };
    let mut values = [account_id, first.first_sequence, last.last_sequence]
        .map(Value::Integer)
        .to_vec();
    if database.dialect() == Dialect::Postgres {
        values.push(Value::Integer(first.month));
    }
    let rows: Vec<Row> = Via::Pool(database.read())
        .fetch(select_rows(database.dialect()), values)
        .await?;
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
        "SELECT first_sequence, last_sequence, received, last_received, bytes_before, bytes, \
         CAST(month AS BIGINT) AS month FROM audit_segment \
         WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3 AND month = $4 \
         ORDER BY last_sequence FOR UPDATE",
    );
    let delete = tx.dialect().pick(
        "DELETE FROM audit_segment WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3",
        "DELETE FROM audit_segment WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence <= $3 \
         AND month = $4",
    );
    let (first, last) = (merged.first, merged.last);
    let (from, to) = (first.first_sequence, last.last_sequence);
    let mut query = sqlx::query_as(lock).bind(account_id).bind(from).bind(to);
    if tx.dialect() == Dialect::Postgres {
        query = query.bind(first.month);
    }
    let found: Vec<Head> = query.fetch_all(&mut **tx).await?;
    if found != merged.group {
        return Ok(false);
    }
    let mut query = sqlx::query(delete).bind(account_id).bind(from).bind(to);
    if tx.dialect() == Dialect::Postgres {
        query = query.bind(first.month);
    }
    query.execute(&mut **tx).await?;
    let head = Head {
        last_sequence: last.last_sequence,
        last_received: last.last_received,
        bytes: i64::try_from(merged.encoded.bytes).unwrap_or(i64::MAX),
        ..first
    };
    insert(tx, account_id, head, &merged.encoded).await?;
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

/// Adds the row of an account that has none.
pub(super) async fn add_account(tx: &mut WriteTx, account_id: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO segment_merge (account_id, merged, merged_older, claimed_until) VALUES ($1, 0, 0, 0) \
         ON CONFLICT (account_id) DO NOTHING",
    )
    .bind(account_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
