//! Searches a slice from its last rank to its first.

use std::ops::Range;

use auditstream_model::Sequence;

use super::bits::Bits;
use super::block::{Entries, key};
use super::order::{Place, ROW_EVENTS};
use super::query::{Clause, Leaf, Query};
use super::read::{Found, Reader};
use super::rows::SliceRow;
use super::{Damaged, Failure};

/// Ranks that are decided at once.
const WINDOW: u32 = 65_536;
/// The most blocks of a range of terms. For a larger range all events are candidates.
const RANGE_BLOCKS: usize = 64;
/// Places that are looked up at once.
const PLACES: usize = 64;
/// Rows of the order that stay in memory.
const ROWS: usize = 16;

/// A slice, and the position of a search in it.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) row: SliceRow,
    events: u32,
    leaves: Vec<State>,
    marks: Option<Vec<Place>>,
    rows: Vec<(usize, Vec<Place>)>,
    /// The ranks that remain: `window` has those of the current window, `left` those before it.
    window: Bits,
    left: Range<u32>,
    is_open: bool,
    /// Whether its first blocks were read ahead.
    pub(super) is_ahead: bool,
}

/// The part of a leaf that was read.
#[derive(Clone, Debug)]
enum State {
    /// The ranks of a term from `from` on, as lists in descending order.
    Term { from: u32, lists: Vec<Vec<u32>> },
    /// A range of terms; `None` before it is read.
    Range(Option<Bits>),
    /// A range of too many terms.
    Unknown,
}

impl Slice {
    pub(super) fn new(row: SliceRow, query: &Query) -> Result<Self, Failure> {
        let events = u32::try_from(row.events).map_err(|_| Failure::Damaged(row.slice))?;
        let leaves = query.leaves.iter().map(|leaf| match leaf {
            Leaf::Term(_) => State::Term {
                from: u32::MAX,
                lists: Vec::new(),
            },
            Leaf::Range(..) => State::Range(None),
        });
        Ok(Self {
            row,
            events,
            leaves: leaves.collect(),
            marks: None,
            rows: Vec::new(),
            window: Bits::none(&(0..0)),
            left: 0..0,
            is_open: false,
            is_ahead: false,
        })
    }

    /// The number of events.
    pub(super) fn events(&self) -> u32 {
        self.events
    }

    /// Whether [`open`](Self::open) was called.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Looks up the terms and prepares a search of the places from `start` to `below`.
    pub(super) async fn open(
        &mut self,
        reader: &mut Reader<'_>,
        query: &Query,
        start: Place,
        below: Place,
    ) -> Result<(), Failure> {
        self.is_open = true;
        if !self.may_match(reader, query).await? {
            return Ok(());
        }
        let end = self.rank_of(reader, below).await?;
        let first = self.rank_of(reader, start).await?;
        self.left = first..end.max(first);
        Ok(())
    }

    /// Prepares a search of a range of ranks, whether or not it has the terms.
    pub(super) fn go_through(&mut self, ranks: Range<u32>) {
        self.is_open = true;
        self.left = ranks;
    }

    /// The ranks of the events before a sequence.
    pub(super) async fn ranks_before(&mut self, reader: &mut Reader<'_>, sequence: Sequence) -> Result<Bits, Failure> {
        let mut before = Bits::none(&(0..self.events));
        let all: Vec<u32> = (0..self.events).collect();
        for ranks in all.chunks(ROW_EVENTS) {
            let places = self.places(reader, ranks).await?;
            for (rank, _) in ranks.iter().zip(places).filter(|(_, place)| place.sequence < sequence) {
                before.insert(*rank).map_err(|damage| self.damaged(damage))?;
            }
        }
        Ok(before)
    }

    /// Whether the slice has the terms of every condition. Reads at most the last block of each.
    pub(super) async fn may_match(&mut self, reader: &mut Reader<'_>, query: &Query) -> Result<bool, Failure> {
        for clause in query.clauses.iter().filter(|clause| !clause.is_negated) {
            let mut is_there = false;
            for list in &clause.any {
                let mut has_all = true;
                for leaf in list {
                    self.load(reader, query, *leaf, self.events.saturating_sub(1)).await?;
                    has_all = has_all && !self.is_absent(*leaf);
                    if !has_all {
                        break;
                    }
                }
                is_there = is_there || has_all;
            }
            if !is_there {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_absent(&self, leaf: usize) -> bool {
        match self.leaves.get(leaf) {
            Some(State::Term { from, lists }) => *from == 0 && lists.is_empty(),
            Some(State::Range(Some(bits))) => bits.is_empty(),
            _ => false,
        }
    }

    /// The number of places before a place.
    pub(super) async fn rank_of(&mut self, reader: &mut Reader<'_>, place: Place) -> Result<u32, Failure> {
        if Place::first_of(self.row.max_time.saturating_add(1)) <= place {
            return Ok(self.events);
        }
        if place <= Place::first_of(self.row.min_time) {
            return Ok(0);
        }
        if self.marks.is_none() {
            self.marks = Some(reader.marks(self.row.slice).await?);
        }
        let marks = self.marks.as_deref().unwrap_or_default();
        let Some(row) = marks.partition_point(|mark| *mark < place).checked_sub(1) else {
            return Ok(0);
        };
        self.read_rows(reader, &[row]).await?;
        let places = self.row_places(row)?;
        let rank = row * ROW_EVENTS + places.partition_point(|other| *other < place);
        u32::try_from(rank).map_err(|_| self.damaged(Damaged))
    }

    async fn read_rows(&mut self, reader: &mut Reader<'_>, rows: &[usize]) -> Result<(), Failure> {
        let is_missing = |row: &usize| !self.rows.iter().any(|(known, _)| known == row);
        let missing: Vec<usize> = rows.iter().copied().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if self.rows.len() + missing.len() > ROWS {
            self.rows.retain(|(known, _)| rows.contains(known));
        }
        let read = reader.order(self.row.slice, &missing).await?;
        self.rows.extend(read);
        Ok(())
    }

    fn row_places(&self, row: usize) -> Result<&[Place], Failure> {
        let known = self.rows.iter().find(|(known, _)| *known == row);
        known
            .map(|(_, places)| places.as_slice())
            .ok_or_else(|| self.damaged(Damaged))
    }

    /// Returns the next places that meet the conditions, latest first; an empty list at the end.
    pub(super) async fn next(&mut self, reader: &mut Reader<'_>, query: &Query) -> Result<Vec<Place>, Failure> {
        loop {
            let ranks = self.window.take_last(PLACES);
            if !ranks.is_empty() {
                return self.places(reader, &ranks).await;
            }
            if self.left.is_empty() {
                return Ok(Vec::new());
            }
            let window = self.left.start.max((self.left.end - 1) / WINDOW * WINDOW)..self.left.end;
            self.left.end = window.start;
            self.window = self.matching(reader, query, window).await?;
        }
    }

    async fn places(&mut self, reader: &mut Reader<'_>, ranks: &[u32]) -> Result<Vec<Place>, Failure> {
        let rank = |rank: &u32| usize::try_from(*rank).unwrap_or(usize::MAX);
        let mut places = Vec::with_capacity(ranks.len());
        for ranks in ranks.chunk_by(|one, other| rank(one) / ROW_EVENTS / ROWS == rank(other) / ROW_EVENTS / ROWS) {
            let mut rows: Vec<usize> = ranks.iter().map(|it| rank(it) / ROW_EVENTS).collect();
            rows.dedup();
            self.read_rows(reader, &rows).await?;
            for it in ranks.iter().map(rank) {
                let place = self.row_places(it / ROW_EVENTS)?.get(it % ROW_EVENTS);
                places.push(*place.ok_or_else(|| self.damaged(Damaged))?);
            }
        }
        Ok(places)
    }

    /// Returns the ranks of a range that meet the conditions.
    pub(super) async fn matching(
        &mut self,
        reader: &mut Reader<'_>,
        query: &Query,
        range: Range<u32>,
    ) -> Result<Bits, Failure> {
        let whole = range.start / 64 * 64..range.end;
        let mut all = Bits::all(&whole);
        all.keep(&range);
        for clause in &query.clauses {
            if all.is_empty() {
                break;
            }
            let met = self.met(reader, query, clause, &whole).await?;
            match (met, clause.is_negated) {
                (Some(met), false) => all.intersect(&met),
                (Some(met), true) => all.subtract(&met),
                (None, _) => {}
            }
        }
        Ok(all)
    }

    /// Returns the ranks of a range that meet a condition as if it were not negated; `None` if that
    /// is not known.
    async fn met(
        &mut self,
        reader: &mut Reader<'_>,
        query: &Query,
        clause: &Clause,
        range: &Range<u32>,
    ) -> Result<Option<Bits>, Failure> {
        let mut any = Bits::none(range);
        for list in &clause.any {
            let mut all: Option<Bits> = None;
            for leaf in list {
                if all.as_ref().is_some_and(Bits::is_empty) {
                    break;
                }
                self.load(reader, query, *leaf, range.start).await?;
                let Some(bits) = self.bits(*leaf, range)? else {
                    continue;
                };
                match &mut all {
                    None => all = Some(bits),
                    Some(all) => all.intersect(&bits),
                }
            }
            match all {
                Some(all) => any.add(&all),
                None => return Ok(None),
            }
        }
        Ok(Some(any))
    }

    /// The ranks of a leaf that is loaded; `None` if they are not known.
    fn bits(&self, leaf: usize, range: &Range<u32>) -> Result<Option<Bits>, Failure> {
        match self.leaves.get(leaf) {
            Some(State::Term { lists, .. }) => {
                let mut bits = Bits::none(range);
                for list in lists {
                    let from = list.partition_point(|rank| *rank < range.start);
                    let to = list.partition_point(|rank| *rank < range.end);
                    for rank in list.get(from..to).unwrap_or_default() {
                        bits.insert(*rank).map_err(|damage| self.damaged(damage))?;
                    }
                }
                Ok(Some(bits))
            }
            Some(State::Range(Some(whole))) => {
                let mut bits = Bits::none(range);
                bits.add(whole);
                Ok(Some(bits))
            }
            _ => Ok(None),
        }
    }

    /// Loads the ranks of a leaf from `rank` on.
    async fn load(&mut self, reader: &mut Reader<'_>, query: &Query, leaf: usize, rank: u32) -> Result<(), Failure> {
        match (query.leaves.get(leaf), self.leaves.get(leaf)) {
            (Some(Leaf::Term(term)), Some(State::Term { from, .. })) if *from > rank => {
                self.load_term(reader, leaf, term, rank).await
            }
            (Some(Leaf::Range(first, end)), Some(State::Range(None))) => {
                let state = self.load_range(reader, first, end).await?;
                if let Some(slot) = self.leaves.get_mut(leaf) {
                    *slot = state;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn load_term(&mut self, reader: &mut Reader<'_>, leaf: usize, term: &[u8], rank: u32) -> Result<(), Failure> {
        let (slice, events) = (self.row.slice, self.events);
        let damaged = |Damaged| Failure::Damaged(slice);
        let Some(State::Term { from, lists }) = self.leaves.get_mut(leaf) else {
            return Ok(());
        };
        while *from > rank {
            let upper = if *from == u32::MAX { u32::MAX } else { *from - 1 };
            let Some((first_key, block)) = reader.block(slice, &key(term, upper)).await? else {
                *from = 0;
                break;
            };
            let mut entries = Entries::of(block);
            let mut list: Vec<u32> = Vec::new();
            while entries.advance().map_err(damaged)? && entries.term() <= term {
                if entries.term() == term && entries.first() <= upper {
                    let push = |rank| {
                        list.push(rank);
                        if rank < events { Ok(()) } else { Err(Damaged) }
                    };
                    entries.ranks(push).map_err(damaged)?;
                }
            }
            if !list.is_sorted() {
                return Err(damaged(Damaged));
            }
            // The block before has more of the term if this one begins with it.
            *from = match list.first() {
                Some(first) if first_key == key(term, *first) => *first,
                _ => 0,
            };
            if !list.is_empty() {
                lists.push(list);
            }
        }
        Ok(())
    }

    async fn load_range(&mut self, reader: &mut Reader<'_>, first: &[u8], end: &[u8]) -> Result<State, Failure> {
        let slice = self.row.slice;
        let damaged = |Damaged| Failure::Damaged(slice);
        let mut bits = Bits::none(&(0..self.events));
        let begin = reader.block(slice, first).await?;
        let mut after = begin.as_ref().map_or_else(|| first.to_vec(), |(key, _)| key.clone());
        let mut blocks: Vec<Found> = begin.into_iter().collect();
        let (mut read, mut most) = (0, 4);
        loop {
            for (first_key, block) in blocks {
                read += 1;
                after = first_key;
                let mut entries = Entries::of(block);
                while entries.advance().map_err(damaged)? && entries.term() < end {
                    if entries.term() >= first {
                        entries.ranks(|rank| bits.insert(rank)).map_err(damaged)?;
                    }
                }
            }
            if read >= RANGE_BLOCKS {
                return Ok(State::Unknown);
            }
            blocks = reader.next_blocks(slice, &after, end, most).await?;
            most = (most * 4).min(RANGE_BLOCKS);
            if blocks.is_empty() {
                return Ok(State::Range(Some(bits)));
            }
        }
    }

    fn damaged(&self, Damaged: Damaged) -> Failure {
        Failure::Damaged(self.row.slice)
    }
}
