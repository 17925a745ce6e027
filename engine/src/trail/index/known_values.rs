//! The values that were met lately, each with its words: most values of an event were in others
//! before.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

/// The number of values that are known at once. A power of two.
const SLOTS: usize = 2_048;
/// Longer values are not remembered.
const MOST_BYTES: usize = 512;

/// Values with the numbers of their words.
#[derive(Debug, Default)]
pub(super) struct KnownValues {
    hash: RandomState,
    /// Empty before the first value.
    slots: Vec<Known>,
    /// Those of a value that is not remembered.
    others: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    value: String,
    words: Vec<u32>,
}

impl KnownValues {
    /// Returns the numbers of a value's words. `find` appends them if the value is not known.
    pub(super) fn words(&mut self, value: &str, find: impl FnOnce(&mut Vec<u32>)) -> &[u32] {
        // A single word, which may well be in no other event, is found at least as fast.
        let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word || value.len() > MOST_BYTES {
            self.others.clear();
            find(&mut self.others);
            return &self.others;
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Known::default());
        }
        let slot = usize::try_from(self.hash.hash_one(value) >> 32).unwrap_or(0) % SLOTS;
        let Some(known) = self.slots.get_mut(slot) else {
            return &[];
        };
        if known.value != value {
            known.value.clear();
            known.value.push_str(value);
            known.words.clear();
            find(&mut known.words);
        }
        &known.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_its_words_also_when_another_had_its_slot() {
        let mut known = KnownValues::default();
        for round in 0..2 {
            for value in 0..3 * u32::try_from(SLOTS).unwrap() {
                let words = known.words(&format!("a {value}"), |words| words.extend([0, value]));
                assert_eq!(words, [0, value], "round {round}");
            }
        }
        assert_eq!(known.words("word", |words| words.push(7)), [7]);
        let long = "a ".repeat(MOST_BYTES);
        assert_eq!(known.words(&long, |words| words.extend([1, 1])), [1, 1]);
    }
}
