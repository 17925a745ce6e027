//! Memory that several parties share, of which each gets at most a part.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A number of bytes for all parties together, and a smaller one for each of them. Cheap to clone.
#[derive(Debug)]
pub struct SharedBudget<P> {
    inner: Arc<Inner<P>>,
}

impl<P> Clone for SharedBudget<P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

#[derive(Debug)]
struct Inner<P> {
    total: usize,
    each: usize,
    taken: Mutex<Taken<P>>,
}

#[derive(Debug)]
struct Taken<P> {
    together: usize,
    by_party: HashMap<P, usize>,
}

/// The limit that a request for bytes would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// That of all parties together.
    Total,
    /// That of this party; others still get bytes.
    Party,
}

/// The bytes that a party has taken. They are returned when this is dropped.
#[derive(Debug)]
pub struct Share<P: Eq + Hash> {
    budget: SharedBudget<P>,
    party: P,
    bytes: usize,
}

impl<P> SharedBudget<P> {
    /// The bytes that all parties have taken together.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().together
    }

    fn lock(&self) -> MutexGuard<'_, Taken<P>> {
        self.inner.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Eq + Hash + Clone> SharedBudget<P> {
    /// A budget of `total` bytes, of which each party gets at most `each`.
    #[must_use]
    pub fn new(total: usize, each: usize) -> Self {
        let taken = Taken {
            together: 0,
            by_party: HashMap::new(),
        };
        Self {
            inner: Arc::new(Inner {
                total,
                each: each.min(total),
                taken: Mutex::new(taken),
            }),
        }
    }

    /// A budget of `total` bytes, of which each party gets at most half.
    #[must_use]
    pub fn halved(total: usize) -> Self {
        Self::new(total, total / 2)
    }

    /// An empty share for a party.
    #[must_use]
    pub fn share(&self, party: P) -> Share<P> {
        Share {
            budget: self.clone(),
            party,
            bytes: 0,
        }
    }
}

impl<P: Eq + Hash + Clone> Share<P> {
    /// Takes more bytes, or none.
    ///
    /// # Errors
    /// The limit that would be exceeded.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let inner = &self.budget.inner;
        let mut taken = self.budget.lock();
        let of_party = taken.by_party.get(&self.party).copied().unwrap_or(0);
        if bytes > inner.each.saturating_sub(of_party) {
            return Err(Exhausted::Party);
        }
        if bytes > inner.total.saturating_sub(taken.together) {
            return Err(Exhausted::Total);
        }
        taken.together += bytes;
        *taken.by_party.entry(self.party.clone()).or_default() += bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// An empty share of the same party.
    #[must_use]
    pub fn another(&self) -> Self {
        self.budget.share(self.party.clone())
    }
}

impl<P: Eq + Hash> Drop for Share<P> {
    fn drop(&mut self) {
        let mut taken = self.budget.lock();
        taken.together = taken.together.saturating_sub(self.bytes);
        if let Some(of_party) = taken.by_party.get_mut(&self.party) {
            *of_party = of_party.saturating_sub(self.bytes);
            if *of_party == 0 {
                taken.by_party.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_party_gets_at_most_its_part_and_all_together_the_total() {
        let budget = SharedBudget::halved(100);
        let [mut a, mut b, mut c] = ["a", "b", "c"].map(|party| budget.share(party));
        assert_eq!(a.grow(50), Ok(()));
        assert_eq!(a.grow(1), Err(Exhausted::Party));
        assert_eq!(a.another().grow(1), Err(Exhausted::Party), "in however many requests");
        assert_eq!((b.grow(50), c.grow(1)), (Ok(()), Err(Exhausted::Total)));
        assert_eq!(budget.taken(), 100);
        drop(a);
        assert_eq!((c.grow(50), budget.taken()), (Ok(()), 100));
        drop((b, c));
        assert_eq!(budget.taken(), 0);
        assert!(budget.lock().by_party.is_empty(), "parties without bytes are forgotten");
    }
}
