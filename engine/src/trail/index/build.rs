//! Builds a slice from events.

use std::collections::HashMap;

use super::block::{BlockWriter, PackedBlock};
use super::order::{OrderWriter, PackedOrder, Place, Written};
use super::terms::Terms;
use crate::error::Result;
use crate::trail::fields;

/// A slice that is being built.
#[derive(Debug, Default)]
pub(super) struct Builder {
    finder: Terms,
    places: Vec<Place>,
    /// The numbers of the events that have a term, in the order of the events.
    terms: HashMap<Box<[u8]>, Numbers>,
}

/// The numbers of at least one event.
#[derive(Debug)]
struct Numbers {
    first: u32,
    more: Vec<u32>,
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
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(place);
        let Self { finder, terms, .. } = self;
        finder.of(payload, &fields::of(payload), |term| match terms.get_mut(term) {
            None => {
                let numbers = Numbers {
                    first: number,
                    more: Vec::new(),
                };
                terms.insert(term.into(), numbers);
                true
            }
            Some(numbers) if numbers.more.last().unwrap_or(&numbers.first) == &number => false,
            Some(numbers) => {
                numbers.more.push(number);
                true
            }
        });
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
        let mut terms: Vec<(Box<[u8]>, Numbers)> = self.terms.into_iter().collect();
        terms.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut blocks = BlockWriter::new()?;
        let mut of_term: Vec<u32> = Vec::new();
        for (term, numbers) in terms {
            of_term.clear();
            let numbers = std::iter::once(numbers.first).chain(numbers.more);
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
