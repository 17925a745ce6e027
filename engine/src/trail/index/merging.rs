//! Selects the slices to merge, and merges them in transactions.

use sqlx::FromRow;
use tokio::runtime::Handle;

use super::block::PackedBlock;
use super::merge::{Storage, merge};
use super::order::{PackedOrder, Written};
use super::rows::{Claim, SliceRow};
use super::{Failure, report_damage};
use crate::Engine;
use crate::error::{Error, Result};
use crate::task::Stop;

/// Sizes in events. Neighbours below one of them are merged once their sum reaches it.
const SIZES: [i64; 4] = [256, 4_096, 65_536, 1_048_576];
/// The most neighbouring slices below the smallest size.
const SLICES: usize = 16;

/// Returns slices that are due to be merged: neighbours that reach one of [`SIZES`] only together,
/// or more than [`SLICES`] small ones. `None` if no slices are due.
pub(super) fn due(slices: &[SliceRow]) -> Option<&[SliceRow]> {
    SIZES.iter().find_map(|size| {
        let neighbours = slices.chunk_by(|one, other| {
            one.last_sequence + 1 == other.first_sequence && one.events < *size && other.events < *size
        });
        let mut neighbours = neighbours.filter(|slices| slices.len() > 1);
        neighbours.find(|slices| {
            let events: i64 = slices.iter().map(|slice| slice.events).sum();
            events >= *size || (*size == SIZES[0] && slices.len() > SLICES)
        })
    })
}

/// Merges slices. They stay in use until the new one is complete. Returns `false` if the merge was
/// cancelled.
pub(super) async fn run(engine: &Engine, claim: Claim, parts: &[SliceRow], stop: Stop) -> Result<bool> {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Ok(true);
    };
    let (first, last) = (first.first_sequence, last.last_sequence);
    let begun = engine.database().background().transaction("begin_merge", async |tx| {
        if !claim.renew(tx).await? {
            return tx.roll_back(None);
        }
        claim.begin_slice(tx, first, last).await.map(Some)
    });
    let Some(slice) = begun.await? else {
        return Ok(false);
    };
    let mut storage = Stored {
        engine: engine.clone(),
        runtime: Handle::current(),
        stop,
        claim,
        slice,
        parts: parts.iter().map(|part| Reading::of(part.slice)).collect(),
    };
    let merging = move || merge(storage.parts.len(), &mut storage);
    let merged = tokio::task::spawn_blocking(merging).await;
    let merged = merged.map_err(|error| Error::Broken(format!("merging the search index failed: {error}")))?;
    match merged {
        Ok(Some(written)) => replace(engine, claim, parts, slice, &written).await,
        // The next claim retires it.
        Ok(None) => Ok(false),
        Err(Failure::Damaged(part)) => {
            let part = usize::try_from(part).ok().and_then(|part| parts.get(part));
            report_damage(engine, claim.account_id, part.map_or(0, |part| part.slice)).await?;
            Ok(false)
        }
        Err(Failure::Other(error)) => Err(error),
    }
}

async fn replace(engine: &Engine, claim: Claim, parts: &[SliceRow], slice: i64, written: &Written) -> Result<bool> {
    let parts: Vec<i64> = parts.iter().map(|part| part.slice).collect();
    let replaced = engine.database().background().transaction("merge_slices", async |tx| {
        // A part may have been damaged or dropped meanwhile.
        if !claim.renew(tx).await? || claim.retire(tx, &parts).await? < parts.len() {
            return tx.roll_back(false);
        }
        claim.publish(tx, slice, written).await?;
        Ok(true)
    });
    replaced.await
}

/// A part of a merge, and the position up to which it was read.
struct Reading {
    slice: i64,
    /// The rank of the next row of its order.
    rank: i64,
    /// The key of the last block.
    key: Vec<u8>,
}

impl Reading {
    fn of(slice: i64) -> Self {
        Self {
            slice,
            rank: 0,
            key: Vec::new(),
        }
    }
}

/// The storage of a merge in the tables, for a thread that may block.
struct Stored {
    engine: Engine,
    runtime: Handle,
    stop: Stop,
    claim: Claim,
    slice: i64,
    parts: Vec<Reading>,
}

#[derive(FromRow)]
struct OrderRow {
    first_rank: i64,
    content: Vec<u8>,
}

#[derive(FromRow)]
struct BlockRow {
    first_key: Vec<u8>,
    content: Vec<u8>,
}

/// Rows of a part that are read at once.
const READ_AT_ONCE: i64 = 8;

impl Stored {
    fn part(&mut self, part: usize) -> Result<&mut Reading> {
        let part = self.parts.get_mut(part);
        part.ok_or_else(|| Error::Broken("a merge has no such part".to_owned()))
    }
}

impl Storage for Stored {
    fn order(&mut self, part: usize) -> Result<Vec<PackedOrder>> {
        let (slice, rank) = {
            let part = self.part(part)?;
            (part.slice, part.rank)
        };
        let query = sqlx::query_as(
            "SELECT first_rank, content
             FROM search_order
             WHERE account_id = $1 AND slice = $2 AND first_rank >= $3
             ORDER BY first_rank
             LIMIT $4",
        );
        let query = query
            .bind(self.claim.account_id)
            .bind(slice)
            .bind(rank)
            .bind(READ_AT_ONCE);
        let rows: Vec<OrderRow> = self.runtime.block_on(query.fetch_all(self.engine.database().read()))?;
        if let Some(last) = rows.last() {
            self.part(part)?.rank = last.first_rank + 1;
        }
        let packed = rows.into_iter().map(|row| PackedOrder {
            first_rank: u32::try_from(row.first_rank).unwrap_or(u32::MAX),
            content: row.content,
        });
        Ok(packed.collect())
    }

    fn blocks(&mut self, part: usize) -> Result<Vec<PackedBlock>> {
        let (slice, key) = {
            let part = self.part(part)?;
            (part.slice, std::mem::take(&mut part.key))
        };
        let query = sqlx::query_as(
            "SELECT first_key, content
             FROM search_block
             WHERE account_id = $1 AND slice = $2 AND first_key > $3
             ORDER BY first_key
             LIMIT $4",
        );
        let query = query
            .bind(self.claim.account_id)
            .bind(slice)
            .bind(key)
            .bind(READ_AT_ONCE);
        let rows: Vec<BlockRow> = self.runtime.block_on(query.fetch_all(self.engine.database().read()))?;
        if let Some(last) = rows.last() {
            self.part(part)?.key.clone_from(&last.first_key);
        }
        let packed = rows.into_iter().map(|row| PackedBlock {
            first_key: row.first_key,
            content: row.content,
        });
        Ok(packed.collect())
    }

    fn store(&mut self, order: Vec<PackedOrder>, blocks: Vec<PackedBlock>) -> Result<bool> {
        // An error means that the task was dropped.
        if *self.stop.borrow() || self.stop.has_changed().is_err() {
            return Ok(false);
        }
        if order.is_empty() && blocks.is_empty() {
            return Ok(true);
        }
        let (claim, slice) = (self.claim, self.slice);
        let stored = self
            .engine
            .database()
            .background()
            .transaction("store_merged", async |tx| {
                if !claim.renew(tx).await? {
                    return tx.roll_back(false);
                }
                claim.store(tx, slice, &order, &blocks).await?;
                Ok(true)
            });
        self.runtime.block_on(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slices with these numbers of events, one after another.
    fn slices(events: &[i64]) -> Vec<SliceRow> {
        let mut next = 1;
        let slice = |(events, slice): (&i64, i64)| {
            let first_sequence = next;
            next += events;
            SliceRow {
                slice,
                first_sequence,
                last_sequence: next - 1,
                events: *events,
                min_time: 0,
                max_time: 0,
            }
        };
        events.iter().zip(1..).map(slice).collect()
    }

    fn due_of(events: &[i64]) -> Option<Vec<i64>> {
        due(&slices(events)).map(|due| due.iter().map(|slice| slice.slice).collect())
    }

    #[test]
    fn slices_merge_once_together_they_reach_a_size() {
        assert_eq!(due_of(&[1_000_000]), None);
        assert_eq!(due_of(&[4_096, 300, 300]), None);
        assert_eq!(due_of(&[100, 100, 56]), Some(vec![1, 2, 3]));
        assert_eq!(due_of(&[4_096, 2_048, 2_048]), Some(vec![2, 3]));
        assert_eq!(due_of(&[1_048_576, 65_536, 4_096, 256]), None);
        assert_eq!(due_of(&[1; 17]), Some((1..=17).collect()), "many small ones");
        assert_eq!(due_of(&[2_000_000, 2_000_000]), None, "large ones stay");
    }

    #[test]
    fn slices_merge_only_with_their_neighbours() {
        let mut apart = slices(&[200, 200]);
        apart[1].first_sequence += 1;
        apart[1].last_sequence += 1;
        assert_eq!(due(&apart), None);
    }

    /// Each event is written once for each size at most, and few slices are left.
    #[test]
    fn merging_costs_little_and_leaves_few_slices() {
        for fresh in [1_i64, 100, 256, 300, 4_096] {
            let mut sizes: Vec<i64> = Vec::new();
            let (mut total, mut written) = (0, 0);
            while total < 2_100_000.min(fresh * 40_000) {
                sizes.push(fresh);
                total += fresh;
                while let Some(merged) = due_of(&sizes) {
                    let from = usize::try_from(merged[0] - 1).unwrap();
                    let events: i64 = sizes.drain(from..from + merged.len()).sum();
                    sizes.insert(from, events);
                    written += events;
                }
            }
            assert!(sizes.len() < 70, "{fresh}: {sizes:?}");
            assert!(written <= total * 14, "{fresh}: {written} of {total}");
        }
    }
}
