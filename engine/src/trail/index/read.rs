//! The statements by which searches read the index. Each reads by a key that begins with the
//! account and the slice.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditstream_model::{EpochMillis, Sequence};
use sqlx::FromRow;

use super::block::Block;
use super::order::{Place, ROW_EVENTS, decode};
use super::rows::{SLICES, SliceRow};
use super::{Damaged, Failure};
use crate::database::{Dialect, SearchConnection, Value};
use crate::error::Result;
use crate::trail::segment;

/// The time after which a search returns the events that it has found.
const ENOUGH_TIME: Duration = Duration::from_secs(2);
/// The most blocks that one search reads.
const MOST_BLOCKS: usize = 4_096;

/// For each slice of a JSON array, the last block that begins at a key or before.
const BLOCKS_SQLITE: &str = "
    SELECT block.slice, block.first_key, block.content
    FROM (
        SELECT wanted.value AS slice,
               (SELECT first_key FROM search_block
                WHERE account_id = $1 AND slice = wanted.value AND first_key <= $3
                ORDER BY first_key DESC LIMIT 1) AS first_key
        FROM json_each($2) AS wanted
    ) AS found
    CROSS JOIN search_block AS block
    WHERE block.account_id = $1 AND block.slice = found.slice AND block.first_key = found.first_key";
const BLOCKS_POSTGRES: &str = "
    SELECT block.slice, block.first_key, block.content
    FROM json_array_elements_text($2::json) AS wanted (slice)
    CROSS JOIN LATERAL (
        SELECT slice, first_key, content FROM search_block
        WHERE account_id = $1 AND slice = wanted.slice::bigint AND first_key <= $3
        ORDER BY first_key DESC LIMIT 1
    ) AS block";
/// The blocks between two keys.
const NEXT_BLOCKS: &str = "
    SELECT slice, first_key, content
    FROM search_block
    WHERE account_id = $1 AND slice = $2 AND first_key > $3 AND first_key < $4
    ORDER BY first_key
    LIMIT $5";
const MARKS: &str = "SELECT marks FROM search_slice WHERE account_id = $1 AND slice = $2";
/// Some rows of the order of a slice.
const ORDER_SQLITE: &str = "
    SELECT first_rank, content
    FROM json_each($3) AS wanted
    CROSS JOIN search_order
    WHERE account_id = $1 AND slice = $2 AND first_rank = wanted.value";
const ORDER_POSTGRES: &str = "
    SELECT found.first_rank, found.content
    FROM json_array_elements_text($3::json) AS wanted (rank)
    CROSS JOIN LATERAL (
        SELECT first_rank, content FROM search_order
        WHERE account_id = $1 AND slice = $2 AND first_rank = wanted.rank::bigint OFFSET 0
    ) AS found";
/// The times of the events of a range of sequences. No segment spans more than 500.
const TIMES: &str = "
    SELECT first_sequence, last_sequence, times
    FROM audit_segment
    WHERE account_id = $1 AND last_sequence >= $2 AND last_sequence < $3 + 500 AND first_sequence <= $3
    ORDER BY last_sequence";
/// The slices that a search has used and that are not being deleted.
const STILL_THERE: &str = "SELECT slice FROM search_slice WHERE account_id = $1 AND state IN (1, 2)";
const TRAIL: &str = "SELECT first_sequence, last_sequence FROM account WHERE id = $1";

/// Returns the statements with their names and the types of their parameters, `i` for integers, `b`
/// for bytes and `t` for texts, for tests that let the database explain them.
#[must_use]
pub fn explained(dialect: Dialect) -> [(&'static str, &'static str, &'static str); 7] {
    [
        ("slices", SLICES, "i"),
        ("blocks", dialect.pick(BLOCKS_SQLITE, BLOCKS_POSTGRES), "itb"),
        ("next blocks", NEXT_BLOCKS, "iibbi"),
        ("marks", MARKS, "ii"),
        ("order", dialect.pick(ORDER_SQLITE, ORDER_POSTGRES), "iit"),
        ("times", TIMES, "iii"),
        ("still there", STILL_THERE, "i"),
    ]
}

/// Reads the index of an account within a budget.
pub(super) struct Reader<'a> {
    connection: &'a mut SearchConnection,
    dialect: Dialect,
    account_id: i64,
    budget: &'a mut Budget,
    ahead: &'a mut Ahead,
}

/// The amount that a search may read.
#[derive(Debug)]
pub(super) struct Budget {
    blocks: usize,
    until: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            blocks: MOST_BLOCKS,
            until: Instant::now() + ENOUGH_TIME,
        }
    }
}

impl Budget {
    pub(super) fn is_used_up(&self) -> bool {
        self.blocks == 0 || Instant::now() > self.until
    }
}

/// Blocks that were read ahead, by slice and by the key that was looked up.
#[derive(Debug, Default)]
pub(super) struct Ahead(HashMap<(i64, Vec<u8>), Option<BlockRow>>);

#[derive(Clone, Debug, FromRow)]
struct BlockRow {
    slice: i64,
    first_key: Vec<u8>,
    content: Vec<u8>,
}

/// A block with its first key.
pub(super) type Found = (Vec<u8>, Arc<Block>);

impl BlockRow {
    fn found(self) -> Result<Found, Failure> {
        let slice = self.slice;
        let block = Block::unpack(&self.content).map_err(|Damaged| Failure::Damaged(slice))?;
        Ok((self.first_key, Arc::new(block)))
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        connection: &'a mut SearchConnection,
        dialect: Dialect,
        account_id: i64,
        budget: &'a mut Budget,
        ahead: &'a mut Ahead,
    ) -> Self {
        Self {
            connection,
            dialect,
            account_id,
            budget,
            ahead,
        }
    }

    /// Returns the first and the last sequence of the trail.
    pub(super) async fn trail(&mut self) -> Result<(Sequence, Sequence)> {
        let rows: Vec<(Sequence, Sequence)> = self.connection.fetch(TRAIL, vec![self.account()]).await?;
        Ok(rows.first().copied().unwrap_or((1, 0)))
    }

    pub(super) async fn slices(&mut self) -> Result<Vec<SliceRow>> {
        self.connection.fetch(SLICES, vec![self.account()]).await
    }

    /// Whether none of these slices is being deleted.
    pub(super) async fn are_there(&mut self, slices: &[i64]) -> Result<bool> {
        if slices.is_empty() {
            return Ok(true);
        }
        let rows: Vec<(i64,)> = self.connection.fetch(STILL_THERE, vec![self.account()]).await?;
        Ok(slices.iter().all(|slice| rows.iter().any(|row| row.0 == *slice)))
    }

    /// Reads blocks ahead, which [`block`](Self::block) then returns.
    pub(super) async fn read_ahead(&mut self, slices: &[i64], key: &[u8]) -> Result<()> {
        let values = vec![self.account(), json(slices)?, Value::Bytes(key.to_vec())];
        let sql = self.dialect.pick(BLOCKS_SQLITE, BLOCKS_POSTGRES);
        let rows: Vec<BlockRow> = self.connection.fetch(sql, values).await?;
        self.budget.blocks = self.budget.blocks.saturating_sub(rows.len());
        for slice in slices {
            self.ahead.0.insert((*slice, key.to_vec()), None);
        }
        for row in rows {
            self.ahead.0.insert((row.slice, key.to_vec()), Some(row));
        }
        Ok(())
    }

    /// Returns the last block of a slice that begins at a key or before; `None` if even the first
    /// block begins after the key.
    pub(super) async fn block(&mut self, slice: i64, key: &[u8]) -> Result<Option<Found>, Failure> {
        let known = (slice, key.to_vec());
        let row = match self.ahead.0.remove(&known) {
            Some(row) => row,
            None => {
                self.read_ahead(&[slice], key).await?;
                self.ahead.0.remove(&known).flatten()
            }
        };
        row.map(BlockRow::found).transpose()
    }

    /// Returns the next blocks of a slice after a key, up to a key.
    pub(super) async fn next_blocks(
        &mut self,
        slice: i64,
        after: &[u8],
        end: &[u8],
        most: usize,
    ) -> Result<Vec<Found>, Failure> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = vec![
            self.account(),
            Value::Integer(slice),
            Value::Bytes(after.to_vec()),
            Value::Bytes(end.to_vec()),
            Value::Integer(most),
        ];
        let rows: Vec<BlockRow> = self.connection.fetch(NEXT_BLOCKS, values).await?;
        self.budget.blocks = self.budget.blocks.saturating_sub(rows.len());
        rows.into_iter().map(BlockRow::found).collect()
    }

    /// Returns the first place of each row of the order of a slice.
    pub(super) async fn marks(&mut self, slice: i64) -> Result<Vec<Place>, Failure> {
        let values = vec![self.account(), Value::Integer(slice)];
        let rows: Vec<(Vec<u8>,)> = self.connection.fetch(MARKS, values).await?;
        let marks = rows.first().map(|row| decode(&row.0)).unwrap_or(Err(Damaged));
        marks.map_err(|Damaged| Failure::Damaged(slice))
    }

    /// Returns rows of the order of a slice, by their numbers.
    pub(super) async fn order(&mut self, slice: i64, rows: &[usize]) -> Result<Vec<(usize, Vec<Place>)>, Failure> {
        let ranks: Vec<usize> = rows.iter().map(|row| row * ROW_EVENTS).collect();
        let values = vec![self.account(), Value::Integer(slice), json(&ranks)?];
        let sql = self.dialect.pick(ORDER_SQLITE, ORDER_POSTGRES);
        let found: Vec<(i64, Vec<u8>)> = self.connection.fetch(sql, values).await?;
        let decoded = found.into_iter().map(|(rank, content)| {
            let places = decode(&content).map_err(|Damaged| Failure::Damaged(slice))?;
            let rank = usize::try_from(rank).unwrap_or_default();
            Ok((rank / ROW_EVENTS, places))
        });
        decoded.collect()
    }

    /// Returns the places of the events of a range of sequences.
    pub(super) async fn places(&mut self, first: Sequence, last: Sequence) -> Result<Vec<Place>> {
        let values = vec![self.account(), Value::Integer(first), Value::Integer(last)];
        let rows: Vec<(Sequence, Sequence, Vec<u8>)> = self.connection.fetch(TIMES, values).await?;
        let mut places = Vec::new();
        for (from, to, times) in rows {
            let events = usize::try_from(to - from + 1).unwrap_or_default();
            let times: Vec<EpochMillis> =
                segment::decode_times(&times, events).ok_or_else(|| segment::damaged(from, to))?;
            let of_segment = (from..).zip(times).map(|(sequence, time)| Place { time, sequence });
            places.extend(of_segment.filter(|place| first <= place.sequence && place.sequence <= last));
        }
        Ok(places)
    }

    /// Whether the budget is used up.
    pub(super) fn is_used_up(&self) -> bool {
        self.budget.is_used_up()
    }

    fn account(&self) -> Value {
        Value::Integer(self.account_id)
    }
}

fn json<T: serde::Serialize>(values: &[T]) -> Result<Value> {
    Ok(Value::Text(Some(serde_json::to_string(values)?)))
}
