//! The events that may match a query, over all slices and the events that no slice has, in the
//! order of time.

use std::collections::BinaryHeap;

use auditstream_model::Sequence;

use super::Failure;
use super::block::key;
use super::coverage::gaps;
use super::order::Place;
use super::query::{Leaf, Query};
use super::read::{Ahead, Budget, Reader};
use super::slice::Slice;
use crate::database::{Dialect, SearchConnection};
use crate::error::Result;

/// Sequences without a slice that are read one by one. With more, a search does not use the index.
pub(super) const UNINDEXED: Sequence = 100_000;
/// The most slices that are read ahead.
const AHEAD: usize = 64;

/// The candidates of a query, latest first.
pub(crate) struct Candidates {
    dialect: Dialect,
    account_id: i64,
    query: Query,
    start: Place,
    below: Place,
    /// The first sequence that retention has not removed.
    first: Sequence,
    slices: Vec<Slice>,
    /// The next places of each source, in reverse order. The last source is the unindexed events.
    waiting: Vec<Vec<Place>>,
    /// For each source with more, the place of its next candidate, or a bound: no place before it.
    heads: BinaryHeap<(Place, Kind, usize)>,
    budget: Budget,
    ahead: Ahead,
    read_ahead: usize,
}

/// The kind of a head. At the same place, a bound comes before a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Candidate,
    Bound,
}

/// The candidates that remain after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// There may be more.
    More,
    /// There are no more.
    Nothing,
    /// The budget is used up. Those that remain are before this place.
    Unknown(Place),
}

impl Candidates {
    /// Prepares a search from `below` down to `start`. Returns `None` if the index lags too far.
    pub(crate) async fn open(
        connection: &mut SearchConnection,
        dialect: Dialect,
        account_id: i64,
        query: Query,
        (start, below): (Place, Place),
    ) -> Result<Option<Self>, Failure> {
        let (mut budget, mut ahead) = (Budget::default(), Ahead::default());
        let mut reader = Reader::new(connection, dialect, account_id, &mut budget, &mut ahead);
        let (first, last) = reader.trail().await?;
        let rows = reader.slices().await?;
        let gaps = gaps(&rows, first, last);
        if gaps.iter().map(|(from, to)| to - from + 1).sum::<Sequence>() > UNINDEXED {
            return Ok(None);
        }
        let mut unindexed = Vec::new();
        for (from, to) in gaps {
            unindexed.extend(reader.places(from, to).await?);
        }
        unindexed.retain(|place| start <= *place && *place < below);
        unindexed.sort_unstable();
        let mut slices = Vec::new();
        let mut heads = BinaryHeap::new();
        for row in rows {
            let end = Place::first_of(row.max_time.saturating_add(1));
            if row.events == 0 || end <= start || below <= Place::first_of(row.min_time) {
                continue;
            }
            heads.push((end.min(below), Kind::Bound, slices.len()));
            slices.push(Slice::new(row, &query)?);
        }
        let mut waiting = vec![Vec::new(); slices.len()];
        if let Some(last) = unindexed.last() {
            heads.push((*last, Kind::Candidate, slices.len()));
        }
        waiting.push(unindexed);
        Ok(Some(Self {
            dialect,
            account_id,
            query,
            start,
            below,
            first,
            slices,
            waiting,
            heads,
            budget,
            ahead,
            read_ahead: 1,
        }))
    }

    /// Whether every candidate is from a slice, and therefore meets the conditions of the query.
    pub(crate) fn has_all_in_slices(&self) -> bool {
        self.waiting.last().is_none_or(Vec::is_empty)
    }

    /// Adds candidates to `found`, up to `most`.
    pub(crate) async fn next(
        &mut self,
        connection: &mut SearchConnection,
        most: usize,
        found: &mut Vec<Place>,
    ) -> Result<Rest, Failure> {
        let mut refilled = false;
        while found.len() < most {
            let Some((place, kind, source)) = self.heads.pop() else {
                return Ok(Rest::Nothing);
            };
            match kind {
                Kind::Candidate => {
                    found.push(place);
                    if let Some(waiting) = self.waiting.get_mut(source) {
                        waiting.pop();
                    }
                    self.push_head(source, place);
                }
                Kind::Bound => {
                    if self.budget.is_used_up() && refilled {
                        self.heads.push((place, kind, source));
                        return Ok(Rest::Unknown(place));
                    }
                    self.refill(connection, source).await?;
                    refilled = true;
                }
            }
        }
        Ok(Rest::More)
    }

    /// Adds the next candidate of a source after `last`, or the bound of the candidates that are
    /// not read yet.
    fn push_head(&mut self, source: usize, last: Place) {
        match self.waiting.get(source).and_then(|waiting| waiting.last()) {
            Some(next) => self.heads.push((*next, Kind::Candidate, source)),
            None if source < self.slices.len() => self.heads.push((last, Kind::Bound, source)),
            None => {}
        }
    }

    async fn refill(&mut self, connection: &mut SearchConnection, source: usize) -> Result<(), Failure> {
        if self.slices.get(source).is_some_and(|slice| !slice.is_open()) {
            self.read_ahead(connection, source).await?;
        }
        let Some(slice) = self.slices.get_mut(source) else {
            return Ok(());
        };
        let (account_id, budget, ahead) = (self.account_id, &mut self.budget, &mut self.ahead);
        let mut reader = Reader::new(connection, self.dialect, account_id, budget, ahead);
        if !slice.is_open() {
            slice.open(&mut reader, &self.query, self.start, self.below).await?;
        }
        let mut places;
        loop {
            places = slice.next(&mut reader, &self.query).await?;
            let is_end = places.is_empty();
            places.retain(|place| place.sequence >= self.first);
            if is_end || !places.is_empty() {
                break;
            }
        }
        places.reverse();
        if let Some(next) = places.last() {
            self.heads.push((*next, Kind::Candidate, source));
        }
        if let Some(waiting) = self.waiting.get_mut(source) {
            *waiting = places;
        }
        Ok(())
    }

    /// Reads the blocks that decide whether a slice has a candidate, and those of the slices that
    /// probably follow. The number of these grows while nothing is found.
    async fn read_ahead(&mut self, connection: &mut SearchConnection, source: usize) -> Result<(), Failure> {
        let Some(clause) = self.query.clauses.first().filter(|clause| !clause.is_negated) else {
            return Ok(());
        };
        let keys: Vec<Vec<u8>> = clause
            .any
            .iter()
            .flatten()
            .filter_map(|leaf| match self.query.leaves.get(*leaf)? {
                Leaf::Term(term) => Some(key(term, u32::MAX)),
                Leaf::Range(first, _) => Some(first.clone()),
            })
            .collect();
        let mut next: Vec<(Place, usize)> = self
            .heads
            .iter()
            .filter(|(_, _, other)| {
                self.slices
                    .get(*other)
                    .is_some_and(|slice| !slice.is_open() && !slice.is_ahead)
            })
            .map(|(place, _, other)| (*place, *other))
            .collect();
        next.sort_unstable_by(|one, other| other.cmp(one));
        let is_ahead = self.slices.get(source).is_some_and(|slice| slice.is_ahead);
        if is_ahead {
            return Ok(());
        }
        let others = next.into_iter().map(|(_, other)| other).take(self.read_ahead - 1);
        let chosen: Vec<usize> = std::iter::once(source).chain(others).collect();
        self.read_ahead = (self.read_ahead * 4).min(AHEAD);
        let mut ids = Vec::with_capacity(chosen.len());
        for index in chosen {
            if let Some(slice) = self.slices.get_mut(index) {
                slice.is_ahead = true;
                ids.push(slice.row.slice);
            }
        }
        let (account_id, budget, ahead) = (self.account_id, &mut self.budget, &mut self.ahead);
        let mut reader = Reader::new(connection, self.dialect, account_id, budget, ahead);
        for key in keys {
            reader.read_ahead(&ids, &key).await?;
        }
        Ok(())
    }

    /// Whether the candidates are complete: no slice that was used is being deleted.
    pub(crate) async fn are_complete(&mut self, connection: &mut SearchConnection) -> Result<bool> {
        let used: Vec<i64> = self
            .slices
            .iter()
            .filter(|slice| slice.is_open())
            .map(|slice| slice.row.slice)
            .collect();
        let (account_id, budget, ahead) = (self.account_id, &mut self.budget, &mut self.ahead);
        let mut reader = Reader::new(connection, self.dialect, account_id, budget, ahead);
        reader.are_there(&used).await
    }
}
