//! The filters of event ids that this server has in memory. With them most new ids are not looked
//! up in the table of all ids. `trail::ids` reads, builds and uses them.
//!
//! The ids of an account are divided into generations by sequence. A generation is complete once
//! the trail has its last sequence; from then on no id is added to it, and it gets a filter.

mod filter;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auditstream_model::Sequence;

pub(crate) use filter::{Checksum, IdDigest, IdFilter, key};

use crate::host_memory::available_bytes;

/// The settings of the look-up of event ids.
#[derive(Clone, Copy, Debug)]
pub struct IdSettings {
    /// The binary logarithm of the number of sequences in a generation. Fixed for the life of a
    /// database; only tests have smaller generations.
    pub generation_bits: u32,
    /// The most memory for filters, in bytes.
    pub filter_bytes: usize,
    /// How often the server looks for complete generations without a filter.
    pub every: Duration,
}

impl Default for IdSettings {
    /// A generation has 1,048,576 sequences. Filters may have an eighth of the memory, but at least
    /// 32 MiB.
    fn default() -> Self {
        let memory = usize::try_from(available_bytes().unwrap_or_default()).unwrap_or(usize::MAX);
        Self {
            generation_bits: 20,
            filter_bytes: (memory / 8).max(32 << 20),
            every: Duration::from_secs(5),
        }
    }
}

impl IdSettings {
    /// The generation of a sequence.
    pub(crate) fn generation(&self, sequence: Sequence) -> i64 {
        sequence >> self.generation_bits
    }

    /// The first generation that is not complete in a trail with this newest sequence.
    pub(crate) fn first_incomplete(&self, last_sequence: Sequence) -> i64 {
        self.generation(last_sequence + 1)
    }

    /// How many filters fit into memory.
    pub(crate) fn most_filters(&self) -> usize {
        let ids = 1_usize.checked_shl(self.generation_bits).unwrap_or(usize::MAX);
        (self.filter_bytes / IdFilter::expected_bytes(ids)).max(1)
    }
}

/// The complete generations of an account, as of the last look for them.
#[derive(Debug, Default)]
struct Account {
    /// The first generation that is not known yet.
    end: i64,
    filters: BTreeMap<i64, Arc<IdFilter>>,
    /// The generations whose filter is not in memory.
    without: BTreeSet<i64>,
}

/// The filters in memory, of all accounts. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdFilters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    settings: IdSettings,
    accounts: Mutex<HashMap<i64, Account>>,
}

/// The generations in which the ids of an account are looked up.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// The generations with a filter, in which only ids are looked up that it may contain.
    pub(crate) filtered: Vec<(i64, Arc<IdFilter>)>,
    /// The generations without a filter.
    pub(crate) generations: Vec<i64>,
    /// Generations that may or may not exist, up to the newest.
    pub(crate) unknown: Range<i64>,
}

/// The number of generations and of bytes, for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) bytes: usize,
    pub(crate) filters: usize,
    /// Complete generations whose filter is not in memory.
    pub(crate) without: usize,
}

impl IdFilters {
    pub(crate) fn new(settings: IdSettings) -> Self {
        Self(Arc::new(Shared {
            settings,
            accounts: Mutex::default(),
        }))
    }

    pub(crate) fn settings(&self) -> &IdSettings {
        &self.0.settings
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<i64, Account>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the generations in which the ids of a trail are looked up, which now reaches from
    /// `first` to `last`.
    pub(crate) fn places(&self, account_id: i64, first: Sequence, last: Sequence) -> Places {
        let (first, end) = (self.settings().generation(first), self.settings().generation(last) + 1);
        let complete = self.settings().first_incomplete(last);
        let mut accounts = self.accounts();
        let Some(account) = accounts.get(&account_id) else {
            return Places {
                unknown: first..end,
                ..Places::default()
            };
        };
        if account.end > complete {
            // The database is older than these filters.
            accounts.remove(&account_id);
            return Places {
                unknown: first..end,
                ..Places::default()
            };
        }
        Places {
            filtered: account
                .filters
                .range(first..)
                .map(|(generation, filter)| (*generation, Arc::clone(filter)))
                .collect(),
            generations: account.without.range(first..).copied().collect(),
            unknown: account.end.max(first)..end,
        }
    }

    /// The first generation of an account that is not known yet.
    pub(crate) fn known_until(&self, account_id: i64) -> i64 {
        self.accounts().get(&account_id).map_or(0, |account| account.end)
    }

    /// Notes the complete generations from `known` up to `end`. Does nothing unless `known` is
    /// still [`Self::known_until`].
    pub(crate) fn found(&self, account_id: i64, known: i64, generations: impl IntoIterator<Item = i64>, end: i64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(account_id).or_default();
        if account.end == known {
            account.without.extend(generations);
            account.end = end;
        }
    }

    /// Forgets the generations before `first`, whose events have been removed.
    pub(crate) fn removed(&self, account_id: i64, first: i64) {
        if let Some(account) = self.accounts().get_mut(&account_id) {
            account.filters.retain(|generation, _| *generation >= first);
            account.without.retain(|generation| *generation >= first);
        }
    }

    /// Forgets an account, whose ids are looked up in the table until its generations are found
    /// again.
    pub(crate) fn forget(&self, account_id: i64) {
        self.accounts().remove(&account_id);
    }

    /// The newest filter of each account.
    pub(crate) fn newest(&self) -> Vec<(i64, i64, Checksum)> {
        let accounts = self.accounts();
        let newest = accounts.iter().filter_map(|(account_id, account)| {
            let (generation, filter) = account.filters.last_key_value()?;
            Some((*account_id, *generation, filter.checksum()))
        });
        newest.collect()
    }

    /// Drops the filters that do not fit into memory, and returns the generations whose filter is
    /// missing, the next one first. Of each account the newest have precedence.
    pub(crate) fn wanted(&self) -> Vec<(i64, i64)> {
        let mut accounts = self.accounts();
        let mut ranked = Vec::new();
        for (account_id, account) in accounts.iter() {
            let generations = account.filters.keys().chain(&account.without);
            ranked.extend(generations.map(|generation| (account.end - generation, *account_id, *generation)));
        }
        ranked.sort_unstable();
        let most = self.settings().most_filters().min(ranked.len());
        let (fitting, others) = ranked.split_at(most);
        for (_, account_id, generation) in others {
            if let Some(account) = accounts.get_mut(account_id)
                && account.filters.remove(generation).is_some()
            {
                account.without.insert(*generation);
            }
        }
        let missing = fitting.iter().filter(|(_, account_id, generation)| {
            let account = accounts.get(account_id);
            account.is_some_and(|account| account.without.contains(generation))
        });
        missing
            .map(|(_, account_id, generation)| (*account_id, *generation))
            .collect()
    }

    /// Uses a filter from now on, unless its generation has been forgotten meanwhile.
    pub(crate) fn add(&self, account_id: i64, generation: i64, filter: IdFilter) {
        if let Some(account) = self.accounts().get_mut(&account_id)
            && account.without.remove(&generation)
        {
            account.filters.insert(generation, Arc::new(filter));
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        let accounts = self.accounts();
        accounts.values().fold(Usage::default(), |usage, account| Usage {
            bytes: usage.bytes
                + account
                    .filters
                    .values()
                    .map(|filter| filter.bytes().len())
                    .sum::<usize>(),
            filters: usage.filters + account.filters.len(),
            without: usage.without + account.without.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filters of generations of 16 sequences.
    fn filters(most: usize) -> IdFilters {
        IdFilters::new(IdSettings {
            generation_bits: 4,
            filter_bytes: most * IdFilter::expected_bytes(16),
            ..IdSettings::default()
        })
    }

    fn filter(account_id: i64, generation: i64) -> IdFilter {
        IdFilter::build(account_id, generation, vec![1, 2]).unwrap()
    }

    fn add_all(filters: &IdFilters) {
        for (account_id, generation) in filters.wanted() {
            filters.add(account_id, generation, filter(account_id, generation));
        }
    }

    #[test]
    fn ids_are_looked_up_in_the_newest_generation_and_in_those_without_a_filter() {
        let filters = filters(10);
        assert_eq!(filters.places(1, 1, 100).unknown, 0..7, "nothing is known at the start");
        filters.found(1, 0, [0, 1, 4], 5);
        filters.add(1, 4, filter(1, 4));
        let places = filters.places(1, 17, 100);
        assert_eq!(places.generations, [1], "and 0 has been removed");
        assert_eq!(places.unknown, 5..7);
        assert_eq!(places.filtered.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [4]);
        assert!(
            filters.places(1, 1, 79).unknown.is_empty(),
            "79 is the last of generation 4"
        );
    }

    #[test]
    fn filters_of_a_newer_state_of_the_database_are_forgotten() {
        let filters = filters(10);
        filters.found(1, 0, [0, 1], 2);
        add_all(&filters);
        let places = filters.places(1, 1, 30);
        assert!(places.filtered.is_empty());
        assert_eq!(places.unknown, 0..2);
        assert_eq!(filters.places(1, 1, 31).unknown, 0..2, "until they are found again");
    }

    #[test]
    fn the_newest_filters_of_each_account_fit_into_memory() {
        let filters = filters(3);
        filters.found(1, 0, 0..8, 8);
        filters.found(2, 0, 0..1, 1);
        assert_eq!(filters.wanted(), [(1, 7), (2, 0), (1, 6)]);
        add_all(&filters);
        assert_eq!((filters.usage().filters, filters.usage().without), (3, 6));
        filters.found(1, 8, [8], 9);
        assert_eq!(filters.wanted(), [(1, 8)], "the oldest leaves");
        assert_eq!(filters.usage().filters, 2);
        filters.removed(1, 9);
        assert_eq!(filters.usage().without, 0);
    }

    #[test]
    fn a_filter_that_comes_after_its_generation_was_removed_is_dropped() {
        let filters = filters(3);
        filters.found(1, 0, [0], 1);
        filters.removed(1, 1);
        filters.add(1, 0, filter(1, 0));
        assert_eq!(filters.usage().filters, 0);
    }
}
