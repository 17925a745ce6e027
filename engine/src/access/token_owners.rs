//! Reads the owners of API tokens. Requests with the same token that come while it is being read
//! share the next read: it begins after all of them have come, so that none sees a token that was
//! revoked before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use auditstream_model::{AccountName, EpochMillis};
use sqlx::FromRow;
use tokio::sync::oneshot;

use super::scopes::Scopes;
use crate::Engine;
use crate::error::{Error, Result};

#[derive(Debug, FromRow)]
pub(super) struct Owner {
    pub(super) account_id: i64,
    #[sqlx(try_from = "String")]
    pub(super) account: AccountName,
    pub(super) name: String,
    #[sqlx(try_from = "String")]
    pub(super) scopes: Scopes,
    pub(super) expires: Option<EpochMillis>,
    pub(super) last_used: Option<EpochMillis>,
}

type Found = Result<Option<Arc<Owner>>>;

/// The requests that wait, by the digest of their token. A digest is here while it is being read.
#[derive(Debug, Default)]
pub(crate) struct TokenOwners(Mutex<HashMap<Vec<u8>, Vec<oneshot::Sender<Found>>>>);

impl TokenOwners {
    fn all(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Vec<oneshot::Sender<Found>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the digest is being read already.
    fn wait(&self, digest: &[u8], waiting: oneshot::Sender<Found>) -> bool {
        let mut all = self.all();
        if let Some(others) = all.get_mut(digest) {
            others.push(waiting);
            return true;
        }
        all.insert(digest.to_vec(), vec![waiting]);
        false
    }

    /// Takes those that wait. Without any, the digest is no longer read.
    fn take(&self, digest: &[u8]) -> Vec<oneshot::Sender<Found>> {
        let mut all = self.all();
        let waiting = all.get_mut(digest).map(std::mem::take).unwrap_or_default();
        if waiting.is_empty() {
            all.remove(digest);
        }
        waiting
    }
}

/// Returns the owner of the token with a digest; `None` if it is unknown or was revoked.
pub(super) async fn owner(engine: &Engine, digest: &[u8]) -> Found {
    let (answer, answered) = oneshot::channel();
    if !engine.token_owners().wait(digest, answer) {
        let reading = Reading {
            engine: engine.clone(),
            digest: digest.to_vec(),
            has_ended: false,
        };
        tokio::spawn(reading.run());
    }
    let broken = |_| Error::Broken("the owner of a token could not be read".to_owned());
    answered.await.map_err(broken)?
}

/// Reads as long as requests wait. Independent of them, since any of them may be dropped.
struct Reading {
    engine: Engine,
    digest: Vec<u8>,
    has_ended: bool,
}

impl Reading {
    async fn run(mut self) {
        loop {
            // Requests that have come already, and wait for a thread, share the read, too.
            tokio::task::yield_now().await;
            let waiting = self.engine.token_owners().take(&self.digest);
            if waiting.is_empty() {
                self.has_ended = true;
                return;
            }
            let found = read(&self.engine, &self.digest).await;
            respond(waiting, found);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // After a panic, those that wait are refused.
        if !self.has_ended {
            self.engine.token_owners().all().remove(&self.digest);
        }
    }
}

async fn read(engine: &Engine, digest: &[u8]) -> Found {
    let owner: Option<Owner> = sqlx::query_as(
        "SELECT t.account_id, a.name AS account, t.name, t.scopes, t.expires, t.last_used \
         FROM api_token t JOIN account a ON a.id = t.account_id \
         WHERE t.digest = $1",
    )
    .bind(digest)
    .fetch_optional(engine.database().read())
    .await?;
    Ok(owner.map(Arc::new))
}

/// Responds to every request. Of an error one gets the cause, which is logged with its response.
fn respond(waiting: Vec<oneshot::Sender<Found>>, found: Found) {
    match found {
        Ok(owner) => {
            for request in waiting {
                // Fails when the client has gone.
                let _ = request.send(Ok(owner.clone()));
            }
        }
        Err(error) => {
            let problem = error.problem();
            let mut waiting = waiting.into_iter();
            let first = waiting.next();
            for request in waiting {
                let detail = problem.detail.clone();
                let _ = request.send(Err(Error::refused(problem.code, detail)));
            }
            if let Some(request) = first {
                let _ = request.send(Err(error));
            }
        }
    }
}
