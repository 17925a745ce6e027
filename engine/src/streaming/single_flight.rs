//! Values that several callers want at once: one caller builds a value, the others wait for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Mutex as AsyncMutex;

use crate::error::Result;

type Entry<V> = Arc<AsyncMutex<Weak<V>>>;

/// Values by their keys, for as long as a caller has them.
#[derive(Debug)]
pub(super) struct SingleFlight<K, V>(Mutex<HashMap<K, Entry<V>>>);

impl<K, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    /// Returns the value of a key, and calls `build` unless it exists. If `build` fails, returns
    /// `None` or is dropped, the next caller builds the value.
    pub(super) async fn get(
        &self,
        key: K,
        build: impl Future<Output = Result<Option<V>>> + Send,
    ) -> Result<Option<Arc<V>>> {
        let entry = Arc::clone(self.entries().entry(key).or_default());
        let mut existing = entry.lock().await;
        if let Some(value) = existing.upgrade() {
            return Ok(Some(value));
        }
        let Some(value) = build.await?.map(Arc::new) else {
            return Ok(None);
        };
        *existing = Arc::downgrade(&value);
        Ok(Some(value))
    }

    /// Returns the value of a key if it exists, or once the caller that builds it has finished.
    pub(super) async fn existing(&self, key: &K) -> Option<Arc<V>> {
        let entry = self.entries().get(key).map(Arc::clone)?;
        let existing = entry.lock().await;
        existing.upgrade()
    }

    /// Returns the entries, after removing those of values that no caller has or waits for.
    fn entries(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| {
            let is_gone = entry.try_lock().is_ok_and(|existing| existing.strong_count() == 0);
            Arc::strong_count(entry) > 1 || !is_gone
        });
        entries
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    #[tokio::test]
    async fn callers_that_want_the_same_value_build_it_once() {
        let values = SingleFlight::<i32, String>::default();
        let built = AtomicUsize::new(0);
        let build = async || {
            tokio::task::yield_now().await;
            built.fetch_add(1, Ordering::SeqCst);
            Ok(Some(String::from("value")))
        };
        let (one, two) = tokio::join!(values.get(1, build()), values.get(1, build()));
        let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
        assert!(Arc::ptr_eq(&one, &two) && built.load(Ordering::SeqCst) == 1);
        assert!(values.existing(&1).await.is_some() && values.existing(&2).await.is_none());
        drop((one, two));
        assert!(values.existing(&1).await.is_none(), "no caller has it any more");
        assert!(values.entries().is_empty());
    }

    #[tokio::test]
    async fn a_value_that_one_caller_cannot_build_is_built_by_the_next() {
        let values = SingleFlight::<i32, i32>::default();
        let fails = values.get(1, async { Err(Error::Broken(String::new())) });
        let gives_up = values.get(1, async { Ok(None) });
        let (failed, gave_up, built) = tokio::join!(fails, gives_up, values.get(1, async { Ok(Some(7)) }));
        assert!(failed.is_err() && gave_up.unwrap().is_none());
        assert_eq!(built.unwrap().as_deref(), Some(&7));
    }
}
