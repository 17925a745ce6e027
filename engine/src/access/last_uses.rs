//! When tokens and sessions were last used: noted in memory, and stored every half a minute and
//! when the server stops, so that no request waits for that write.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use auditstream_model::EpochMillis;

use crate::Engine;
use crate::error::Result;
use crate::failpoint;
use crate::task::{Stop, Task};

const FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// The largest number of notes of each kind. Further uses are noted after the next flush.
const CAPACITY: usize = 10_000;
/// The largest number of rows that a transaction changes.
const CHUNK: usize = 200;

/// The uses that are not stored yet.
#[derive(Debug, Default)]
pub(crate) struct LastUses {
    pub(super) tokens: Notes,
    pub(super) sessions: Notes,
}

/// The time of the last use by the digest of a token or cookie, in the order in which rows are
/// locked.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeMap<Vec<u8>, EpochMillis>>);

impl Notes {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, EpochMillis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, digest: Vec<u8>, used: EpochMillis) {
        let mut notes = self.all();
        if notes.len() < CAPACITY || notes.contains_key(&digest) {
            let last = notes.entry(digest).or_insert(used);
            *last = (*last).max(used);
        }
    }

    /// Returns a use that is not stored yet.
    pub(super) fn get(&self, digest: &[u8]) -> Option<EpochMillis> {
        self.all().get(digest).copied()
    }

    fn first(&self) -> Vec<(Vec<u8>, EpochMillis)> {
        let notes = self.all();
        let first = notes.iter().take(CHUNK);
        first.map(|(digest, used)| (digest.clone(), *used)).collect()
    }

    /// Removes the notes that were stored, unless there was another use meanwhile.
    fn stored(&self, stored: &[(Vec<u8>, EpochMillis)]) {
        let mut notes = self.all();
        for (digest, used) in stored {
            if notes.get(digest) == Some(used) {
                notes.remove(digest);
            }
        }
    }
}

/// Starts to store the uses at regular intervals.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("last_uses", engine.metrics().clone(), move |stop| {
        flush_periodically(engine.clone(), stop)
    })
}

async fn flush_periodically(engine: Engine, mut stop: Stop) {
    let mut is_last = false;
    while !is_last {
        failpoint::reached("last_uses.flush").await;
        is_last = *stop.borrow();
        if !is_last {
            tokio::select! {
                _ = stop.changed() => {}
                () = tokio::time::sleep(FLUSH_INTERVAL) => {}
            }
        }
        flush(&engine).await;
    }
}

/// Stores the notes. Those that cannot be stored now are kept.
pub(crate) async fn flush(engine: &Engine) {
    if let Err(error) = store_all(engine).await {
        tracing::warn!(%error, "the last uses of tokens and sessions could not be stored; retrying in half a minute");
    }
}

async fn store_all(engine: &Engine) -> Result<()> {
    let uses = engine.last_uses();
    let update = "UPDATE api_token SET last_used = $2 WHERE digest = $1 AND (last_used IS NULL OR last_used < $2)";
    store(engine, &uses.tokens, update).await?;
    let update = "UPDATE session SET seen = $2 WHERE digest = $1 AND seen < $2";
    store(engine, &uses.sessions, update).await
}

async fn store(engine: &Engine, notes: &Notes, update: &'static str) -> Result<()> {
    loop {
        let chunk = notes.first();
        if chunk.is_empty() {
            return Ok(());
        }
        let uses = &chunk;
        engine
            .database()
            .transaction("store_last_uses", async |tx| {
                for (digest, used) in uses {
                    let query = sqlx::query(update).bind(digest).bind(*used);
                    query.execute(&mut **tx).await?;
                }
                Ok(())
            })
            .await?;
        notes.stored(&chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_during_a_flush_stays_noted() {
        let notes = Notes::default();
        notes.note(vec![1], 10);
        let chunk = notes.first();
        notes.note(vec![1], 20);
        notes.stored(&chunk);
        assert_eq!(notes.get(&[1]), Some(20));
        notes.stored(&notes.first());
        assert_eq!(notes.get(&[1]), None);
    }

    #[test]
    fn the_notes_are_bounded() {
        let notes = Notes::default();
        for number in 0..=CAPACITY {
            notes.note(number.to_be_bytes().to_vec(), 1);
        }
        assert_eq!(notes.all().len(), CAPACITY);
    }
}
