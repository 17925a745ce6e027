//! Blocks: sorted terms of a slice, each with the ranks of the events that have it.
//!
//! A block is two zstd frames: the texts of the terms, and the numbers. A term is stored as the
//! length of the beginning that it shares with the term before, and the rest. A term with many
//! ranks is split into entries, and may continue in the next block. Blocks are found by their first
//! key: a term, U+0000, and the entry's first rank.

use std::ops::Range;
use std::sync::Arc;

use super::Damaged;
use super::packing::{Packer, unpack};
use super::varint::{Numbers, push};
use crate::error::Result;

/// Bytes of a block before compression: a block ends with the entry that exceeds them.
const BLOCK_BYTES: usize = 80 << 10;
/// Ranks of one entry.
const ENTRY_RANKS: usize = 4_096;

/// A block as it is stored.
#[derive(Clone, Debug)]
pub(super) struct PackedBlock {
    pub(super) first_key: Vec<u8>,
    pub(super) content: Vec<u8>,
}

/// The key of the entry of a term that begins at a rank. Terms contain no U+0000.
pub(super) fn key(term: &[u8], rank: u32) -> Vec<u8> {
    [term, &[0], &rank.to_be_bytes()].concat()
}

/// Writes the blocks of a slice.
pub(super) struct BlockWriter {
    packer: Packer,
    texts: Vec<u8>,
    numbers: Vec<u8>,
    last_term: Vec<u8>,
    first_key: Vec<u8>,
    gaps: Vec<u8>,
    blocks: Vec<PackedBlock>,
}

impl BlockWriter {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            packer: Packer::new()?,
            texts: Vec::with_capacity(BLOCK_BYTES),
            numbers: Vec::with_capacity(BLOCK_BYTES),
            last_term: Vec::new(),
            first_key: Vec::new(),
            gaps: Vec::new(),
            blocks: Vec::new(),
        })
    }

    /// Adds a term and its ranks. Terms and ranks are given in their order.
    pub(super) fn push(&mut self, term: &[u8], ranks: &[u32]) -> Result<()> {
        for ranks in ranks.chunks(ENTRY_RANKS) {
            if self.texts.len() + self.numbers.len() >= BLOCK_BYTES {
                self.flush()?;
            }
            self.push_entry(term, ranks);
        }
        Ok(())
    }

    fn push_entry(&mut self, term: &[u8], ranks: &[u32]) {
        let Some((&first, others)) = ranks.split_first() else {
            return;
        };
        if self.numbers.is_empty() {
            self.first_key = key(term, first);
        }
        let shared = term
            .iter()
            .zip(&self.last_term)
            .take_while(|(one, other)| one == other)
            .count();
        let rest = term.get(shared..).unwrap_or_default();
        push(&mut self.numbers, shared as u64);
        push(&mut self.numbers, rest.len() as u64);
        self.texts.extend_from_slice(rest);
        self.last_term.clear();
        self.last_term.extend_from_slice(term);
        push(&mut self.numbers, ranks.len() as u64);
        push(&mut self.numbers, first.into());
        if !others.is_empty() {
            self.gaps.clear();
            let mut last = first;
            for &rank in others {
                push(&mut self.gaps, u64::from(rank.wrapping_sub(last)) - 1);
                last = rank;
            }
            push(&mut self.numbers, self.gaps.len() as u64);
            self.numbers.extend_from_slice(&self.gaps);
        }
    }

    fn flush(&mut self) -> Result<()> {
        let texts = self.packer.pack(&self.texts)?;
        let numbers = self.packer.pack(&self.numbers)?;
        let mut content = Vec::with_capacity(texts.len() + numbers.len() + 5);
        push(&mut content, texts.len() as u64);
        content.extend_from_slice(&texts);
        content.extend_from_slice(&numbers);
        self.blocks.push(PackedBlock {
            first_key: std::mem::take(&mut self.first_key),
            content,
        });
        self.texts.clear();
        self.numbers.clear();
        self.last_term.clear();
        Ok(())
    }

    /// Returns the blocks that are complete.
    pub(super) fn take(&mut self) -> Vec<PackedBlock> {
        std::mem::take(&mut self.blocks)
    }

    /// The bytes of the complete blocks that were not taken.
    pub(super) fn waiting(&self) -> usize {
        self.blocks.iter().map(|block| block.content.len()).sum()
    }

    pub(super) fn finish(mut self) -> Result<Vec<PackedBlock>> {
        if !self.numbers.is_empty() {
            self.flush()?;
        }
        Ok(self.blocks)
    }
}

/// A block in memory.
#[derive(Debug, Default)]
pub(super) struct Block {
    texts: Vec<u8>,
    numbers: Vec<u8>,
}

impl Block {
    pub(super) fn unpack(content: &[u8]) -> Result<Self, Damaged> {
        let mut parts = Numbers(content);
        let length = parts.next_len()?;
        let texts = unpack(parts.take(length)?)?;
        let numbers = unpack(parts.0)?;
        Ok(Self { texts, numbers })
    }
}

/// Reads the entries of a block in their order.
#[derive(Debug, Default)]
pub(super) struct Entries {
    block: Arc<Block>,
    text_at: usize,
    number_at: usize,
    term: Vec<u8>,
    first: u32,
    count: u32,
    gaps: Range<usize>,
}

impl Entries {
    pub(super) fn of(block: Arc<Block>) -> Self {
        Self {
            block,
            ..Self::default()
        }
    }

    /// Moves to the next entry. Returns `false` at the end.
    pub(super) fn advance(&mut self) -> Result<bool, Damaged> {
        let all = self.block.numbers.as_slice();
        if self.number_at >= all.len() {
            return Ok(false);
        }
        let mut numbers = Numbers(all.get(self.number_at..).ok_or(Damaged)?);
        let shared = numbers.next_len()?;
        let length = numbers.next_len()?;
        let end = self.text_at.checked_add(length).ok_or(Damaged)?;
        let rest = self.block.texts.get(self.text_at..end).ok_or(Damaged)?;
        if shared > self.term.len() {
            return Err(Damaged);
        }
        self.term.truncate(shared);
        self.term.extend_from_slice(rest);
        self.text_at = end;
        self.count = numbers.next_u32()?;
        self.first = numbers.next_u32()?;
        let bytes = if self.count > 1 { numbers.next_len()? } else { 0 };
        let at = all.len() - numbers.0.len();
        numbers.take(bytes)?;
        self.gaps = at..at + bytes;
        self.number_at = at + bytes;
        Ok(true)
    }

    pub(super) fn term(&self) -> &[u8] {
        &self.term
    }

    /// The first rank of the entry.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The number of its ranks.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Calls `each` with the ranks of the entry.
    pub(super) fn ranks(&self, mut each: impl FnMut(u32) -> Result<(), Damaged>) -> Result<(), Damaged> {
        each(self.first)?;
        let mut gaps = Numbers(self.block.numbers.get(self.gaps.clone()).ok_or(Damaged)?);
        let mut rank = self.first;
        for _ in 1..self.count {
            let gap = gaps.next_u32()?.checked_add(1).ok_or(Damaged)?;
            rank = rank.checked_add(gap).ok_or(Damaged)?;
            each(rank)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn terms_and_ranks_come_back_and_blocks_are_found_by_their_keys() {
        let mut terms: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        for number in 0..20_000_u32 {
            let term = format!("w{:x}", number.wrapping_mul(2_654_435_761)).into_bytes();
            terms.insert(term, vec![number]);
        }
        terms.insert(b"wcommon".to_vec(), (0..200_000).collect());
        terms.insert(b"weven".to_vec(), (0..100_000).map(|number| number * 2).collect());
        let mut writer = BlockWriter::new().unwrap();
        for (term, ranks) in &terms {
            writer.push(term, ranks).unwrap();
        }
        let blocks = writer.finish().unwrap();
        assert!(blocks.len() > 5, "{}", blocks.len());
        let mut found: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
        let mut last_key = Vec::new();
        for block in &blocks {
            assert!(block.first_key > last_key);
            last_key.clone_from(&block.first_key);
            let mut entries = Entries::of(Arc::new(Block::unpack(&block.content).unwrap()));
            let mut is_first = true;
            while entries.advance().unwrap() {
                if std::mem::take(&mut is_first) {
                    assert_eq!(block.first_key, key(entries.term(), entries.first()));
                }
                let ranks = found.entry(entries.term().to_vec()).or_default();
                let before = ranks.len();
                entries
                    .ranks(|rank| {
                        ranks.push(rank);
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(ranks.len() - before, entries.count() as usize);
            }
        }
        assert_eq!(found, terms);
    }

    #[test]
    fn a_damaged_block_is_refused() {
        let mut writer = BlockWriter::new().unwrap();
        for number in 0..1_000_u32 {
            writer.push(format!("w{number:04}").as_bytes(), &[number]).unwrap();
        }
        let block = writer.finish().unwrap().remove(0).content;
        for at in (0..block.len()).step_by(7) {
            let mut damaged = block.clone();
            damaged[at] ^= 0xff;
            assert!(Block::unpack(&damaged).is_err(), "byte {at}");
        }
        assert!(Block::unpack(&[]).is_err());
        assert!(Block::unpack(&block[..block.len() / 2]).is_err());
    }
}
