//! Merges slices into one, row by row and block by block, without reading events. Takes the memory
//! of a row and a block of each part, and four bytes for each event.

use std::collections::VecDeque;
use std::sync::Arc;

use super::block::{Block, BlockWriter, Entries, PackedBlock};
use super::build::sort;
use super::order::{OrderWriter, PackedOrder, Place, Written, decode};
use super::{Damaged, Failure};
use crate::error::Result;

/// Bytes of blocks that are stored at once.
const STORED_AT_ONCE: usize = 1 << 20;

/// The storage from which a merge reads parts, numbered from 0, and to which it writes.
pub(super) trait Storage {
    /// Returns the next rows of the order of a part; an empty list at the end.
    fn order(&mut self, part: usize) -> Result<Vec<PackedOrder>>;
    /// Returns the next blocks of a part; an empty list at the end.
    fn blocks(&mut self, part: usize) -> Result<Vec<PackedBlock>>;
    /// Stores rows and blocks. Returns `false` to cancel the merge.
    fn store(&mut self, order: Vec<PackedOrder>, blocks: Vec<PackedBlock>) -> Result<bool>;
}

/// Merges parts. Returns `None` if the storage cancelled it. [`Failure::Damaged`] has the part's
/// number.
pub(super) fn merge(parts: usize, storage: &mut impl Storage) -> Result<Option<Written>, Failure> {
    let Some((maps, written)) = merge_order(parts, storage)? else {
        return Ok(None);
    };
    Ok(merge_terms(&maps, storage)?.then_some(written))
}

/// The new rank of each rank of a part.
type Map = Vec<u32>;

fn merge_order(parts: usize, storage: &mut impl Storage) -> Result<Option<(Vec<Map>, Written)>, Failure> {
    let mut maps: Vec<Map> = vec![Map::new(); parts];
    let mut places: Vec<VecDeque<Place>> = vec![VecDeque::new(); parts];
    let mut writer = OrderWriter::new()?;
    for (part, places) in places.iter_mut().enumerate() {
        *places = next_places(storage, part)?;
    }
    let mut rank = 0;
    while let Some(part) = first(&places) {
        let (Some(waiting), Some(map)) = (places.get_mut(part), maps.get_mut(part)) else {
            return Err(damaged(part)(Damaged));
        };
        if let Some(place) = waiting.pop_front() {
            writer.push(place)?;
        }
        map.push(rank);
        rank += 1;
        if waiting.is_empty() {
            *waiting = next_places(storage, part)?;
            if !storage.store(writer.take(), Vec::new())? {
                return Ok(None);
            }
        }
    }
    let (rows, written) = writer.finish()?;
    Ok(storage.store(rows, Vec::new())?.then_some((maps, written)))
}

/// The part with the first place.
fn first(places: &[VecDeque<Place>]) -> Option<usize> {
    let heads = places
        .iter()
        .enumerate()
        .filter_map(|(part, places)| Some((places.front()?, part)));
    heads.min().map(|(_, part)| part)
}

fn next_places(storage: &mut impl Storage, part: usize) -> Result<VecDeque<Place>, Failure> {
    let mut places = VecDeque::new();
    for row in storage.order(part)? {
        places.extend(decode(&row.content).map_err(damaged(part))?);
    }
    Ok(places)
}

/// A part whose terms are read.
struct Reader {
    part: usize,
    waiting: VecDeque<PackedBlock>,
    entries: Entries,
}

impl Reader {
    /// Moves to the next entry. Returns `false` at the end.
    fn advance(&mut self, storage: &mut impl Storage) -> Result<bool, Failure> {
        while !self.entries.advance().map_err(damaged(self.part))? {
            if self.waiting.is_empty() {
                self.waiting = storage.blocks(self.part)?.into();
            }
            let Some(block) = self.waiting.pop_front() else {
                return Ok(false);
            };
            let block = Block::unpack(&block.content).map_err(damaged(self.part))?;
            self.entries = Entries::of(Arc::new(block));
        }
        Ok(true)
    }
}

fn merge_terms(maps: &[Map], storage: &mut impl Storage) -> Result<bool, Failure> {
    // Sorted, the first term last.
    let mut readers: Vec<Reader> = Vec::with_capacity(maps.len());
    for part in 0..maps.len() {
        let reader = Reader {
            part,
            waiting: VecDeque::new(),
            entries: Entries::default(),
        };
        insert(&mut readers, reader, storage)?;
    }
    let mut writer = BlockWriter::new()?;
    let mut term = Vec::new();
    let mut ranks: Vec<u32> = Vec::new();
    while let Some(mut reader) = readers.pop() {
        if reader.entries.term() != term {
            push(&mut writer, &term, &mut ranks)?;
            term.clear();
            term.extend_from_slice(reader.entries.term());
        }
        let map = maps.get(reader.part).map(Vec::as_slice).unwrap_or_default();
        loop {
            let new_rank = |rank: u32| map.get(usize::try_from(rank).ok()?).copied();
            let mapped = reader.entries.ranks(|rank| {
                ranks.push(new_rank(rank).ok_or(Damaged)?);
                Ok(())
            });
            mapped.map_err(damaged(reader.part))?;
            if !reader.advance(storage)? {
                break;
            }
            if reader.entries.term() != term {
                place(&mut readers, reader);
                break;
            }
        }
        if writer.waiting() >= STORED_AT_ONCE && !storage.store(Vec::new(), writer.take())? {
            return Ok(false);
        }
    }
    push(&mut writer, &term, &mut ranks)?;
    Ok(storage.store(Vec::new(), writer.finish()?)?)
}

fn push(writer: &mut BlockWriter, term: &[u8], ranks: &mut Vec<u32>) -> Result<()> {
    sort(ranks);
    writer.push(term, ranks)?;
    ranks.clear();
    Ok(())
}

/// Moves a reader to its next entry and puts it into its place, unless it is at its end.
fn insert(readers: &mut Vec<Reader>, mut reader: Reader, storage: &mut impl Storage) -> Result<(), Failure> {
    if reader.advance(storage)? {
        place(readers, reader);
    }
    Ok(())
}

fn place(readers: &mut Vec<Reader>, reader: Reader) {
    let at = readers.partition_point(|other| other.entries.term() > reader.entries.term());
    readers.insert(at, reader);
}

fn damaged(part: usize) -> impl Fn(Damaged) -> Failure {
    move |Damaged| Failure::Damaged(i64::try_from(part).unwrap_or(i64::MAX))
}
