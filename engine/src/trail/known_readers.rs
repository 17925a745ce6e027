//! The people whose reading is recorded already.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The people whose reading this server knows to be recorded, with the last day, so that a search
/// does not ask the database again.
#[derive(Debug, Default)]
pub(crate) struct KnownReaders(Mutex<HashMap<(i64, String), i64>>);

impl KnownReaders {
    pub(super) fn knows(&self, account_id: i64, person: &str, day: i64) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(account_id, person.to_owned())) == Some(&day)
    }

    pub(super) fn add(&self, account_id: i64, person: &str, day: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, other| *other == day);
        known.insert((account_id, person.to_owned()), day);
    }
}
