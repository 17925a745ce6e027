//! Gives sequences and inserts, inside a transaction that may do more.

use std::collections::HashMap;

use auditstream_model::{FieldError, IngestOutcome, Sequence};
use sqlx::{QueryBuilder, Sqlite};

use super::payload::{Prepared, same_content};
use crate::error::Result;
use crate::store::{WriteTx, now};

/// Rows of one statement: enough that the round trips to the database do not count, far from its limit of parameters.
const ROWS: usize = 200;

/// What became of the events of one request.
#[derive(Debug)]
pub(crate) enum Appended {
    /// All are in the trail.
    Stored(IngestOutcome),
    /// Ids that are there with other content; nothing was stored.
    Conflicts(Vec<FieldError>),
}

/// Appends events to an account's trail. The account's row is taken first, so that its lock orders the commits; then the
/// ids are looked up and only the new ones numbered.
pub(crate) async fn append(tx: &mut WriteTx, account_id: i64, events: &[Prepared]) -> Result<Appended> {
    let last: Sequence =
        sqlx::query_scalar("UPDATE account SET last_sequence = last_sequence WHERE id = $1 RETURNING last_sequence")
            .bind(account_id)
            .fetch_one(&mut **tx)
            .await?;
    let mut known = stored_payloads(tx, account_id, events).await?;
    let mut fresh: Vec<&Prepared> = Vec::with_capacity(events.len());
    let mut conflicts = Vec::new();
    let mut duplicates = 0;
    for (index, event) in events.iter().enumerate() {
        match known.get(&event.id_digest) {
            None => {
                known.insert(event.id_digest, event.payload.clone());
                fresh.push(event);
            }
            Some(payload) if same_content(payload, &event.payload) => duplicates += 1,
            Some(_) => conflicts.push(FieldError {
                field: "auditEventId".to_owned(),
                message: "An event with this id and other content is already there.".to_owned(),
                code: Some("event_id_conflict".to_owned()),
                index: u32::try_from(index).ok(),
            }),
        }
    }
    if !conflicts.is_empty() {
        return Ok(Appended::Conflicts(conflicts));
    }
    insert(tx, account_id, last, &fresh).await?;
    let accepted = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
    let new_last = last + i64::from(accepted);
    sqlx::query("UPDATE account SET last_sequence = $2 WHERE id = $1")
        .bind(account_id)
        .bind(new_last)
        .execute(&mut **tx)
        .await?;
    let numbered = accepted > 0;
    Ok(Appended::Stored(IngestOutcome {
        accepted,
        duplicates,
        first_sequence: numbered.then_some(last + 1),
        last_sequence: numbered.then_some(new_last),
    }))
}

async fn stored_payloads(tx: &mut WriteTx, account_id: i64, events: &[Prepared]) -> Result<HashMap<[u8; 16], String>> {
    let mut known = HashMap::with_capacity(events.len());
    for chunk in events.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT id_digest, payload FROM audit_event WHERE account_id = ");
        query.push_bind(account_id).push(" AND id_digest IN (");
        let mut ids = query.separated(", ");
        for event in chunk {
            ids.push_bind(event.id_digest.to_vec());
        }
        query.push(")");
        let rows: Vec<(Vec<u8>, String)> = query.build_query_as().fetch_all(&mut **tx).await?;
        known.extend(
            rows.into_iter()
                .filter_map(|(digest, payload)| Some((<[u8; 16]>::try_from(digest).ok()?, payload))),
        );
    }
    Ok(known)
}

async fn insert(tx: &mut WriteTx, account_id: i64, last: Sequence, fresh: &[&Prepared]) -> Result<()> {
    let received = now();
    let mut sequence = last;
    for chunk in fresh.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO audit_event (account_id, sequence, id_digest, time, received, principal_type, principal, action, module, \
             resource_type, resource, org, project, payload) ",
        );
        query.push_values(chunk, |mut row, event| {
            sequence += 1;
            row.push_bind(account_id)
                .push_bind(sequence)
                .push_bind(event.id_digest.to_vec())
                .push_bind(event.time)
                .push_bind(received)
                .push_bind(event.principal_type.as_str())
                .push_bind(event.principal.as_str())
                .push_bind(event.action.as_str())
                .push_bind(event.module.as_str())
                .push_bind(event.resource_type.as_str())
                .push_bind(event.resource.as_str())
                .push_bind(event.org.as_deref())
                .push_bind(event.project.as_deref())
                .push_bind(event.payload.as_str());
        });
        query.build().execute(&mut **tx).await?;
    }
    Ok(())
}
