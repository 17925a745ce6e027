//! Builds a slice from events.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::block::{BlockWriter, PackedBlock};
use super::order::{OrderWriter, PackedOrder, Place, Written};
use super::terms::{TermSet, Terms};
use crate::error::Result;
use crate::trail::fields;

/// A slice that is being built.
#[derive(Debug, Default)]
pub(super) struct Builder {
    finder: Terms,
    places: Vec<Place>,
    terms: TermEvents,
}

/// The terms of a slice. Each has the numbers of its events, in their order.
#[derive(Debug, Default)]
struct TermEvents {
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    events: Vec<Numbers>,
    /// The number of the last event.
    event: u32,
}

/// The numbers of events.
#[derive(Debug, Default)]
struct Numbers {
    first: Option<u32>,
    more: Vec<u32>,
}

impl TermSet for TermEvents {
    fn number(&mut self, term: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(term) {
            return *number;
        }
        let number = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        self.numbers.insert(term.into(), number);
        self.events.push(Numbers::default());
        number
    }

    fn mark(&mut self, number: u32) -> bool {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(events) = self.events.get_mut(index) else {
            return false;
        };
        let last = events.more.last().copied().or(events.first);
        if last == Some(self.event) {
            return false;
        }
        match events.first {
            None => events.first = Some(self.event),
            Some(_) => events.more.push(self.event),
        }
        true
    }
}

impl TermEvents {
    /// The terms in their order. A term may have no event.
    fn sorted(self) -> Vec<(Box<[u8]>, Numbers)> {
        let Self {
            numbers, mut events, ..
        } = self;
        let mut terms: Vec<_> = numbers
            .into_iter()
            .map(|(term, number)| (beginning(&term), term, number))
            .collect();
        // Most terms differ in their beginnings.
        terms.sort_unstable_by(|(a, one, _), (b, other, _)| a.cmp(b).then_with(|| one.cmp(other)));
        let terms = terms.into_iter().map(|(_, term, number)| {
            let index = usize::try_from(number).unwrap_or(usize::MAX);
            let numbers = events.get_mut(index).map(std::mem::take);
            (term, numbers.unwrap_or_default())
        });
        terms.collect()
    }
}

/// The first eight bytes of a term as a number. A term that ends before has zeros there, which no
/// term contains.
fn beginning(term: &[u8]) -> u64 {
    let bytes = term.iter().copied().chain(std::iter::repeat(0)).take(8);
    bytes.fold(0, |beginning, byte| beginning << 8 | u64::from(byte))
}

/// A slice as it is stored.
pub(super) struct Built {
    pub(super) order: Vec<PackedOrder>,
    pub(super) written: Written,
    pub(super) blocks: Vec<PackedBlock>,
}

impl Builder {
    /// The number of its events.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn add(&mut self, place: Place, payload: &str) {
        self.terms.event = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(place);
        self.finder.find(payload, &fields::of(payload), &mut self.terms);
    }

    pub(super) fn finish(self) -> Result<Built> {
        let mut sorted: Vec<(Place, u32)> = self.places.into_iter().zip(0..).collect();
        sorted.sort_unstable();
        let mut ranks = vec![0; sorted.len()];
        let mut order = OrderWriter::new()?;
        for (rank, (place, number)) in (0..).zip(sorted) {
            order.push(place)?;
            if let Some(slot) = usize::try_from(number).ok().and_then(|number| ranks.get_mut(number)) {
                *slot = rank;
            }
        }
        let mut blocks = BlockWriter::new()?;
        let mut of_term: Vec<u32> = Vec::new();
        for (term, numbers) in self.terms.sorted() {
            of_term.clear();
            let numbers = numbers.first.into_iter().chain(numbers.more);
            of_term.extend(numbers.filter_map(|number| ranks.get(usize::try_from(number).ok()?)));
            sort(&mut of_term);
            blocks.push(&term, &of_term)?;
        }
        let (order, written) = order.finish()?;
        Ok(Built {
            order,
            written,
            blocks: blocks.finish()?,
        })
    }
}

/// Sorts ranks, which usually are in order.
pub(super) fn sort(ranks: &mut [u32]) {
    if !ranks.is_sorted() {
        // Stable, because it makes use of runs.
        ranks.sort();
    }
}
