//! A queue in which accounts take turns: the many requests of one account do not delay the next one
//! of another.

use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
pub(super) struct Turns<T> {
    by_account: HashMap<i64, VecDeque<T>>,
    turns: VecDeque<i64>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            by_account: HashMap::new(),
            turns: VecDeque::new(),
        }
    }
}

impl<T> Turns<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn push(&mut self, account_id: i64, item: T) {
        let of_account = self.by_account.entry(account_id).or_default();
        if of_account.is_empty() {
            self.turns.push_back(account_id);
        }
        of_account.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let account_id = self.turns.pop_front()?;
        let of_account = self.by_account.get_mut(&account_id)?;
        let item = of_account.pop_front();
        if of_account.is_empty() {
            self.by_account.remove(&account_id);
        } else {
            self.turns.push_back(account_id);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_take_turns_and_each_keeps_its_order() {
        let mut queue = Turns::default();
        for (account_id, item) in [(1, "a"), (1, "b"), (1, "c"), (2, "d"), (3, "e"), (2, "f")] {
            queue.push(account_id, item);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a", "d", "e", "b", "f", "c"]);
        assert!(queue.is_empty() && queue.by_account.is_empty());
    }
}
