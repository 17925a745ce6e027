//! The bucket as a witness: an object of a destination beyond everything that the database knows of
//! it.

use std::time::Duration;

use auditstream_model::{EpochMillis, FailureCode, Sequence};
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::FromRow;

use super::facts::most_given_out;
use super::watch;
use crate::Engine;
use crate::aws::AwsFailure;
use crate::aws::object::Bucket;
use crate::connectors;
use crate::destinations::object_key::folder;
use crate::destinations::rows::{self, DestinationRow};
use crate::error::{Error, Result};
use crate::marks::BeyondCursor;

const DEADLINE: Duration = Duration::from_secs(5);
/// The pages that are read as long as nothing is found.
const PAGES: usize = 3;
/// With an object beyond the database the newest one is needed.
const DEADLINE_ONCE_FOUND: Duration = Duration::from_secs(60);
const PAGES_ONCE_FOUND: usize = 1_000;
/// Buckets that are looked at concurrently.
const AT_ONCE: usize = 16;
/// Looks once for objects beyond the database, before a destination's first PUT in this process.
/// Returns `false` if there is one, which closes numbering. A bucket that cannot be listed is no
/// witness.
pub(crate) async fn confirms(engine: &Engine, row: &DestinationRow) -> Result<bool> {
    let numbering = engine.database().numbering();
    if numbering.has_looked_for(&row.uid) {
        return Ok(true);
    }
    match look(engine, row).await {
        Ok(Look::Found(object)) => {
            numbering.doubt_because_of(object);
            return Ok(false);
        }
        Ok(Look::Nothing) => numbering.looked_for(&row.uid),
        Ok(Look::Unfinished) => {}
        Err(error @ Error::Database(_)) => return Err(error),
        // The delivery reports it.
        Err(_) => {}
    }
    Ok(true)
}

/// Looks for objects beyond the database at all destinations, for at most `deadline`, and declares
/// a restore if there are any. Destinations that could not be looked at are looked at before their
/// first PUT.
pub async fn look_at_buckets(engine: &Engine, deadline: Duration) -> Result<()> {
    let accounts: Vec<i64> = sqlx::query_scalar("SELECT DISTINCT account_id FROM streaming_destination ORDER BY 1")
        .fetch_all(engine.database().read())
        .await?;
    let mut destinations = Vec::new();
    for account in accounts {
        destinations.extend(rows::all(engine, account).await?);
    }
    let looks = futures::stream::iter(destinations)
        .map(|row| async move { confirms(engine, &row).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<bool>>();
    match tokio::time::timeout(deadline, looks).await {
        Ok(looked) => drop(looked?),
        Err(_) => tracing::warn!("not every bucket was searched in time for objects that are newer than the database"),
    }
    if engine.database().numbering().beyond().is_empty() {
        return Ok(());
    }
    watch::compare(engine.database()).await
}

pub(super) enum Look {
    Nothing,
    Found(BeyondCursor),
    /// The store did not respond; the next run looks again.
    Unfinished,
}

pub(super) async fn look(engine: &Engine, row: &DestinationRow) -> Result<Look> {
    let Some(connector) = connectors::unlock(engine, row.account_id, &row.connector).await? else {
        return Ok(Look::Nothing);
    };
    let spec = row.spec.get()?;
    let account_folder = format!("{}account={}/", spec.prefix.as_str(), row.account);
    let newest: Option<String> =
        sqlx::query_scalar("SELECT key FROM streaming_batch WHERE destination_id = $1 ORDER BY number DESC LIMIT 1")
            .bind(row.id)
            .fetch_optional(engine.database().read())
            .await?;
    let newest = match newest {
        Some(key) => key,
        None => folder(row.account.as_str(), row.created)?,
    };
    let after = format!("{}{newest}", spec.prefix.as_str());
    let s3 = tokio::time::timeout(DEADLINE, engine.aws().s3(&connector.profile, spec.bucket.as_str())).await;
    let s3 = match s3 {
        Ok(Ok(s3)) => s3,
        Ok(Err(failure)) => return Ok(not_listed(row, &failure)),
        Err(_) => return Ok(Look::Unfinished),
    };
    let bucket = s3.bucket(spec.bucket.as_str(), spec.expected_bucket_owner.as_deref());
    let found = match tokio::time::timeout(DEADLINE, newest_of(&bucket, &account_folder, &after, &row.uid, PAGES)).await
    {
        Ok(Ok(Some(_))) => {
            let search = newest_of(&bucket, &account_folder, &after, &row.uid, PAGES_ONCE_FOUND);
            match tokio::time::timeout(DEADLINE_ONCE_FOUND, search).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) | Err(_) => return Ok(Look::Unfinished),
            }
        }
        Ok(Ok(None)) => return Ok(Look::Nothing),
        Ok(Err(failure)) => return Ok(not_listed(row, &failure)),
        Err(_) => return Ok(Look::Unfinished),
    };
    match found {
        Some(object) => judge(engine, row, object).await,
        None => Ok(Look::Nothing),
    }
}

fn not_listed(row: &DestinationRow, failure: &AwsFailure) -> Look {
    tracing::debug!(
        destination = row.identifier,
        message = failure.message,
        "the bucket could not be searched for objects that are newer than the database"
    );
    if failure.transient || failure.connection_lost || failure.code == FailureCode::Network {
        Look::Unfinished
    } else {
        Look::Nothing
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ObjectName {
    key: String,
    batch: i64,
    last_sequence: Sequence,
}

/// Returns the object with a destination's `uid` that has the highest batch number.
async fn newest_of(
    bucket: &Bucket,
    folder: &str,
    after: &str,
    uid: &str,
    pages: usize,
) -> Result<Option<ObjectName>, AwsFailure> {
    let (mut newest, mut token) = (None::<ObjectName>, None);
    for _ in 0..pages {
        let (keys, next) = bucket.list(folder, after, token).await?;
        for object in keys.into_iter().filter_map(|key| parse(key, uid)) {
            if newest.as_ref().is_none_or(|newest| object.batch > newest.batch) {
                newest = Some(object);
            }
        }
        if next.is_none() {
            break;
        }
        token = next;
    }
    Ok(newest)
}

/// Parses `…/{batch}_{first}-{last}_{uid}.…`; `None` for objects of other destinations.
fn parse(key: String, uid: &str) -> Option<ObjectName> {
    let name = key.rsplit('/').next()?;
    let mut parts = name.splitn(3, '_');
    let (batch, range, rest) = (parts.next()?, parts.next()?, parts.next()?);
    rest.strip_prefix(uid).filter(|rest| rest.starts_with('.'))?;
    let (first, last) = range.split_once('-')?;
    let (batch, first, last_sequence) = (batch.parse().ok()?, first.parse::<Sequence>().ok()?, last.parse().ok()?);
    (batch > 0 && first > 0 && first <= last_sequence).then_some(ObjectName {
        key,
        batch,
        last_sequence,
    })
}

#[derive(FromRow)]
struct Known {
    uid: String,
    last_batch: i64,
    last_sequence: Sequence,
    last_received: EpochMillis,
}

/// Compares an object with the database as it is after the object was found: each batch is stored
/// before its object is sent.
async fn judge(engine: &Engine, row: &DestinationRow, object: ObjectName) -> Result<Look> {
    let known: Option<Known> = sqlx::query_as(
        "SELECT d.uid, d.last_batch, a.last_sequence, a.last_received
         FROM streaming_destination d
         JOIN account a ON a.id = d.account_id
         WHERE d.id = $1",
    )
    .bind(row.id)
    .fetch_optional(engine.database().read())
    .await?;
    let Some(known) = known.filter(|known| known.uid == row.uid && known.last_batch < object.batch) else {
        return Ok(Look::Nothing);
    };
    let plausible = known
        .last_sequence
        .saturating_add(most_given_out(engine.database().clock().now() - known.last_received));
    if object.last_sequence > plausible || object.batch > known.last_batch + plausible {
        tracing::error!(
            key = object.key,
            "an object has the name of one of this destination's batches, but not a plausible number; it is ignored"
        );
        return Ok(Look::Nothing);
    }
    Ok(Look::Found(BeyondCursor {
        account: row.account.as_str().to_owned(),
        destination_id: row.id,
        uid: known.uid,
        key: object.key,
        batch: object.batch,
        last_sequence: object.last_sequence,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_of_the_destination_are_read() {
        let parsed = |name: &str| parse(format!("p/account=a/dt=2026-01-01/hour=00/{name}"), "ABC");
        let object = parsed("000000000007_1-9_ABC.ndjson.gz").unwrap();
        assert_eq!((object.batch, object.last_sequence), (7, 9));
        for other in [
            "000000000007_1-9_XYZ.ndjson.gz",
            "000000000007_1-9_ABCD.ndjson.gz",
            "000000000007_9-1_ABC.ndjson.gz",
            "000000000007_1-99999999999999999999_ABC.ndjson.gz",
            "readme",
            "",
        ] {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
