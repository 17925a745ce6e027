//! Counts of the events that meet the conditions of a query, by time or by the value of a field,
//! without reading them. The query is [exact](super::Query::is_exact).

use std::collections::HashMap;
use std::ops::Range;

use auditstream_model::{EpochMillis, EventField, Sequence};

use super::bits::Bits;
use super::block::Entries;
use super::candidates::UNINDEXED;
use super::coverage::gaps;
use super::order::Place;
use super::query::{Leaf, Query, beginning_with, kind};
use super::read::{Ahead, Budget, Found, Reader};
use super::rows::SliceRow;
use super::slice::Slice;
use super::terms::value_of_term;
use super::{Damaged, Failure};
use crate::database::{Dialect, SearchConnection};

/// Blocks of the values of a field that are read at once.
const BLOCKS: usize = 16;
/// Different values that are counted.
const VALUES: usize = 50_000;

/// The result of a count over the slices.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// The places of the events that no slice has, in their order; `None` if there are too many.
    pub(crate) unindexed: Option<Vec<Place>>,
    /// The time up to which events may be missing; `None` if the count is complete.
    pub(crate) missing_until: Option<EpochMillis>,
    /// Whether there are values that were not counted.
    pub(crate) has_other_values: bool,
}

/// Counts over all slices of an account.
pub(crate) struct Tally<'a> {
    pub(crate) connection: &'a mut SearchConnection,
    pub(crate) dialect: Dialect,
    pub(crate) account_id: i64,
    pub(crate) query: &'a Query,
    /// The places from the first up to, and not including, the second.
    pub(crate) range: (Place, Place),
}

/// A count, with the numbers that it fills.
pub(crate) enum Count<'c> {
    /// Events by time: `counts` has a number for each range between two of the `edges`.
    Times {
        edges: &'c [EpochMillis],
        counts: &'c mut [u64],
    },
    /// Events by the value of a field.
    Values {
        field: EventField,
        counts: &'c mut HashMap<String, u64>,
    },
}

impl Tally<'_> {
    /// Counts the events of the slices, newest first. Returns `None` if a slice was deleted
    /// meanwhile.
    pub(crate) async fn count(&mut self, what: &mut Count<'_>) -> Result<Option<Counted>, Failure> {
        let (mut budget, mut ahead) = (Budget::default(), Ahead::default());
        let account_id = self.account_id;
        let mut reader = Reader::new(self.connection, self.dialect, account_id, &mut budget, &mut ahead);
        let (first, last) = reader.trail().await?;
        let mut rows = reader.slices().await?;
        let mut counted = Counted {
            unindexed: unindexed(&mut reader, &rows, (first, last), self.range).await?,
            ..Counted::default()
        };
        let (start, below) = self.range;
        rows.retain(|row| {
            let end = Place::first_of(row.max_time.saturating_add(1));
            row.events > 0 && start < end && Place::first_of(row.min_time) < below
        });
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.max_time));
        let mut used = Vec::new();
        for row in rows {
            if reader.is_used_up() {
                counted.missing_until = Some(row.max_time);
                break;
            }
            used.push(row.slice);
            let mut slice = Slice::new(row, self.query)?;
            if !slice.may_match(&mut reader, self.query).await? {
                continue;
            }
            let end = slice.rank_of(&mut reader, below).await?;
            let begin = slice.rank_of(&mut reader, start).await?;
            let mut part = Part {
                reader: &mut reader,
                query: self.query,
                slice,
                ranks: begin..end.max(begin),
                first,
            };
            match what {
                Count::Times { edges, counts } => part.count_times(edges, counts).await?,
                Count::Values { field, counts } => {
                    counted.has_other_values |= !part.count_values(*field, counts).await?;
                }
            }
        }
        Ok(reader.are_there(&used).await?.then_some(counted))
    }
}

/// Returns the events that no slice has, in a range of places; `None` if there are too many.
async fn unindexed(
    reader: &mut Reader<'_>,
    rows: &[SliceRow],
    (first, last): (Sequence, Sequence),
    (start, below): (Place, Place),
) -> Result<Option<Vec<Place>>, Failure> {
    let gaps = gaps(rows, first, last);
    if gaps.iter().map(|(from, to)| to - from + 1).sum::<Sequence>() > UNINDEXED {
        return Ok(None);
    }
    let mut places = Vec::new();
    for (from, to) in gaps {
        places.extend(reader.places(from, to).await?);
    }
    places.retain(|place| start <= *place && *place < below);
    places.sort_unstable();
    Ok(Some(places))
}

/// A slice that is counted.
struct Part<'r, 'a> {
    reader: &'r mut Reader<'a>,
    query: &'r Query,
    slice: Slice,
    ranks: Range<u32>,
    /// The first sequence that retention has not removed.
    first: Sequence,
}

/// Ranks that are decided at once.
const WINDOW: u32 = 65_536;

impl Part<'_, '_> {
    /// Whether retention has removed some of the events.
    fn is_cut(&self) -> bool {
        self.slice.row.first_sequence < self.first
    }

    /// The ranges of ranks that are decided at once.
    fn windows(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let Range { start, end } = self.ranks;
        let firsts = (start / WINDOW * WINDOW..end).step_by(65_536);
        firsts.map(move |first| first.max(start)..first.saturating_add(WINDOW).min(end))
    }

    async fn count_times(&mut self, edges: &[EpochMillis], counts: &mut [u64]) -> Result<(), Failure> {
        if self.is_cut() {
            return self.count_places(edges, counts).await;
        }
        let mut ranks = Vec::with_capacity(edges.len());
        for edge in edges {
            let rank = self.slice.rank_of(self.reader, Place::first_of(*edge)).await?;
            ranks.push(rank.clamp(self.ranks.start, self.ranks.end));
        }
        let buckets = || ranks.iter().zip(ranks.iter().skip(1)).map(|(from, to)| *from..*to);
        if self.query.clauses.is_empty() {
            for (count, bucket) in counts.iter_mut().zip(buckets()) {
                *count += u64::from(bucket.end - bucket.start);
            }
            return Ok(());
        }
        for window in self.windows() {
            let matching = self.slice.matching(self.reader, self.query, window.clone()).await?;
            for (count, bucket) in counts.iter_mut().zip(buckets()) {
                if bucket.start < window.end && window.start < bucket.end {
                    let mut in_bucket = matching.clone();
                    in_bucket.keep(&bucket);
                    *count += in_bucket.count();
                }
            }
        }
        Ok(())
    }

    /// Counts by the places of the events, of which some are removed.
    async fn count_places(&mut self, edges: &[EpochMillis], counts: &mut [u64]) -> Result<(), Failure> {
        self.slice.go_through(self.ranks.clone());
        loop {
            let places = self.slice.next(self.reader, self.query).await?;
            if places.is_empty() {
                return Ok(());
            }
            for place in places.into_iter().filter(|place| place.sequence >= self.first) {
                add(edges, counts, place.time);
            }
        }
    }

    /// Counts the events of each value. Returns `false` if there are too many values.
    async fn count_values(&mut self, field: EventField, counts: &mut HashMap<String, u64>) -> Result<bool, Failure> {
        let id = self.slice.row.slice;
        let damaged = |Damaged| Failure::Damaged(id);
        let whole = self.ranks == (0..self.slice.events()) && self.query.clauses.is_empty() && !self.is_cut();
        let matching = if whole { None } else { Some(self.matching().await?) };
        let Leaf::Range(first, end) = beginning_with(kind(field), b"") else {
            return Ok(true);
        };
        let begin = self.reader.block(id, &first).await?;
        let mut after = begin.as_ref().map_or_else(|| first.clone(), |(key, _)| key.clone());
        let mut blocks: Vec<Found> = begin.into_iter().collect();
        let mut has_all = true;
        loop {
            for (key, block) in blocks {
                after = key;
                let mut entries = Entries::of(block);
                while entries.advance().map_err(damaged)? && entries.term() < end.as_slice() {
                    if entries.term() < first.as_slice() {
                        continue;
                    }
                    let mut count = u64::from(entries.count());
                    if let Some(matching) = &matching {
                        count = 0;
                        let ranks = entries.ranks(|rank| {
                            count += u64::from(matching.contains(rank));
                            Ok(())
                        });
                        ranks.map_err(damaged)?;
                    }
                    has_all &= count == 0 || add_value(field, entries.term(), count, counts);
                }
            }
            if self.reader.is_used_up() {
                return Ok(false);
            }
            blocks = self.reader.next_blocks(id, &after, &end, BLOCKS).await?;
            if blocks.is_empty() {
                return Ok(has_all);
            }
        }
    }

    /// The ranks that meet the conditions and are not removed, in one set.
    async fn matching(&mut self) -> Result<Bits, Failure> {
        let mut all = Bits::none(&(0..self.slice.events()));
        if self.is_cut() {
            let gone = self.slice.ranks_before(self.reader, self.first).await?;
            for window in self.windows() {
                let mut matching = self.slice.matching(self.reader, self.query, window).await?;
                matching.subtract_part(&gone);
                all.add_part(&matching);
            }
            return Ok(all);
        }
        for window in self.windows() {
            all.add_part(&self.slice.matching(self.reader, self.query, window).await?);
        }
        Ok(all)
    }
}

fn add_value(field: EventField, term: &[u8], count: u64, counts: &mut HashMap<String, u64>) -> bool {
    let Some(value) = value_of_term(field, term) else {
        return false;
    };
    if let Some(known) = counts.get_mut(&value) {
        *known += count;
        return true;
    }
    if counts.len() >= VALUES {
        return false;
    }
    counts.insert(value, count);
    true
}

/// Counts an event at a time.
pub(crate) fn add(edges: &[EpochMillis], counts: &mut [u64], time: EpochMillis) {
    let bucket = edges.partition_point(|edge| *edge <= time).checked_sub(1);
    if let Some(count) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
        *count += 1;
    }
}
