//! Sets of ranks.

use std::ops::Range;

use super::Damaged;

/// A set of ranks of a range that begins at a multiple of 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    first: u32,
    words: Vec<u64>,
}

impl Bits {
    /// The empty set in a range.
    pub(super) fn none(range: &Range<u32>) -> Self {
        let length = range.end.saturating_sub(range.start).div_ceil(64);
        Self {
            first: range.start,
            words: vec![0; usize::try_from(length).unwrap_or_default()],
        }
    }

    /// The whole range.
    pub(super) fn all(range: &Range<u32>) -> Self {
        let mut all = Self::none(range);
        all.words.fill(u64::MAX);
        all.keep(range);
        all
    }

    pub(super) fn insert(&mut self, rank: u32) -> Result<(), Damaged> {
        let at = rank.checked_sub(self.first).ok_or(Damaged)?;
        let word = self.words.get_mut(usize::try_from(at / 64).unwrap_or(usize::MAX));
        *word.ok_or(Damaged)? |= 1 << (at % 64);
        Ok(())
    }

    /// Adds a part of a set that begins at the same multiple of 64 or before.
    pub(super) fn add(&mut self, other: &Self) {
        let skip = usize::try_from(self.first.saturating_sub(other.first) / 64).unwrap_or(usize::MAX);
        for (word, other) in self.words.iter_mut().zip(other.words.iter().skip(skip)) {
            *word |= other;
        }
    }

    /// Adds a set that begins at the same multiple of 64 or later, and ends within this one.
    pub(super) fn add_part(&mut self, part: &Self) {
        let skip = usize::try_from(part.first.saturating_sub(self.first) / 64).unwrap_or(usize::MAX);
        for (word, part) in self.words.iter_mut().skip(skip).zip(&part.words) {
            *word |= part;
        }
    }

    /// Removes the ranks of a set that begins at the same multiple of 64 or before.
    pub(super) fn subtract_part(&mut self, other: &Self) {
        let skip = usize::try_from(self.first.saturating_sub(other.first) / 64).unwrap_or(usize::MAX);
        for (word, other) in self.words.iter_mut().zip(other.words.iter().skip(skip)) {
            *word &= !other;
        }
    }

    pub(super) fn contains(&self, rank: u32) -> bool {
        let at = rank.wrapping_sub(self.first);
        let word = self.words.get(usize::try_from(at / 64).unwrap_or(usize::MAX));
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Keeps the ranks that another set of the same range has.
    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Removes the ranks that another set of the same range has.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Keeps the ranks within a range.
    pub(super) fn keep(&mut self, range: &Range<u32>) {
        for (word, first) in self.words.iter_mut().zip((self.first..).step_by(64)) {
            let below = |end: u32| match end.saturating_sub(first) {
                0 => 0,
                bits @ 1..64 => (1_u64 << bits) - 1,
                _ => u64::MAX,
            };
            *word &= below(range.end) & !below(range.start);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(super) fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Takes the last ranks out of the set, the last one first.
    pub(super) fn take_last(&mut self, most: usize) -> Vec<u32> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(word) = self.words.last_mut()
        {
            if *word == 0 {
                self.words.pop();
                continue;
            }
            let bit = 63 - word.leading_zeros();
            *word ^= 1 << bit;
            let before = u32::try_from(self.words.len() - 1).unwrap_or(u32::MAX);
            taken.push(self.first + before * 64 + bit);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(range: Range<u32>, ranks: &[u32]) -> Bits {
        let mut bits = Bits::none(&range);
        for rank in ranks {
            bits.insert(*rank).unwrap();
        }
        bits
    }

    #[test]
    fn sets_are_combined() {
        let mut both = set(64..300, &[64, 100, 299]);
        both.intersect(&set(64..300, &[100, 299]));
        assert_eq!(both.clone().take_last(9), [299, 100]);
        both.subtract(&set(64..300, &[299]));
        assert_eq!((both.count(), both.is_empty()), (1, false));
        both.add(&set(0..400, &[63, 64, 350, 200]));
        assert_eq!(both.take_last(9), [200, 100, 64]);
        assert!(set(64..128, &[]).insert(63).is_err() && set(64..128, &[]).insert(128).is_err());
    }

    #[test]
    fn ranks_come_out_last_first_and_ranges_are_kept() {
        let mut all = Bits::all(&(128..1_000));
        assert_eq!(all.count(), 872);
        assert_eq!(all.take_last(3), [999, 998, 997]);
        all.keep(&(130..200));
        assert_eq!(all.count(), 70);
        assert_eq!(all.take_last(100), (130..200).rev().collect::<Vec<_>>());
        assert!(all.is_empty() && all.take_last(1).is_empty());
        let mut edges = set(0..192, &[0, 63, 64, 127, 128]);
        edges.keep(&(63..128));
        assert_eq!(edges.take_last(9), [127, 64, 63]);
    }
}
