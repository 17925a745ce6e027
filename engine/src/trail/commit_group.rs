//! The requests that share a commit: their events are compressed before it, and appended in it.

use tokio::sync::oneshot;

use super::append::{Appended, append_requests};
use super::segment::{self, Encoded};
use super::stored_form::Prepared;
use crate::database::{Database, WriteTx};
use crate::error::{Error, Result};
use crate::shared_budget::Share;

/// A request whose events wait to be stored.
pub(super) struct Request {
    pub(super) account_id: i64,
    pub(super) events: Vec<Prepared>,
    pub(super) answer: oneshot::Sender<Result<Appended>>,
    /// Its share of the queue, until it is answered.
    #[allow(dead_code, reason = "it is returned when it is dropped")]
    pub(super) room: Share<i64>,
}

/// Requests that share a commit.
pub(super) struct Group {
    pub(super) requests: Vec<Request>,
    accounts: Vec<OfAccount>,
}

/// The requests of one account in a group.
struct OfAccount {
    account_id: i64,
    /// Their indexes, in the order in which they came.
    requests: Vec<usize>,
    /// The segments of their events.
    encoded: Vec<Encoded>,
}

impl Group {
    /// Compresses the events, before any lock is taken. `None` if that failed: the requests are
    /// then refused as those that were not written.
    pub(super) async fn encode(requests: Vec<Request>) -> Option<Self> {
        const SMALL: usize = 32 << 10;
        let bytes: usize = requests
            .iter()
            .flat_map(|it| &it.events)
            .map(|event| event.payload.len())
            .sum();
        let encoded = if bytes <= SMALL {
            Self::encode_here(requests)
        } else {
            let encoding = tokio::task::spawn_blocking(move || Self::encode_here(requests)).await;
            encoding.unwrap_or_else(|error| Err(Error::Broken(error.to_string())))
        };
        encoded
            .inspect_err(|error| tracing::error!(%error, "events were not stored"))
            .ok()
    }

    fn encode_here(requests: Vec<Request>) -> Result<Self> {
        let mut accounts: Vec<OfAccount> = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            match accounts.iter_mut().find(|it| it.account_id == request.account_id) {
                Some(account) => account.requests.push(index),
                None => accounts.push(OfAccount {
                    account_id: request.account_id,
                    requests: vec![index],
                    encoded: Vec::new(),
                }),
            }
        }
        let mut group = Self { requests, accounts };
        for account in &mut group.accounts {
            let events = account.requests.iter().filter_map(|index| group.requests.get(*index));
            let events = events.flat_map(|request| &request.events);
            account.encoded = segment::encode(events.map(|event| (event.time, event.payload.as_str())))?;
        }
        Ok(group)
    }

    /// Appends the events of every request in one transaction. Returns the results in the order of
    /// the requests.
    pub(super) async fn commit(&self, database: &Database) -> Result<Vec<Appended>> {
        let append_all = async |tx: &mut WriteTx| {
            let mut results: Vec<Option<Appended>> = self.requests.iter().map(|_| None).collect();
            for account in &self.accounts {
                let requests = account.requests.iter().filter_map(|index| self.requests.get(*index));
                let requests: Vec<&[Prepared]> = requests.map(|request| request.events.as_slice()).collect();
                let appended = append_requests(tx, account.account_id, &requests, &account.encoded).await?;
                for (index, result) in account.requests.iter().zip(appended) {
                    if let Some(place) = results.get_mut(*index) {
                        *place = Some(result);
                    }
                }
            }
            let results: Option<Vec<Appended>> = results.into_iter().collect();
            results.ok_or_else(|| Error::Broken("a request without a result".to_owned()))
        };
        database.transaction("ingest", append_all).await
    }
}
