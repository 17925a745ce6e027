//! The audit events of reading: an auditor sees who read the trail, and what was exported.
//!
//! Reading leaves one event per person and day (UTC), with the filter of the first search, however
//! many pages and polls follow. Tokens are for programs, whose reading would flood the trail; it
//! leaves no event. Each export leaves two: one before its first byte, and one at its end.

use std::time::Duration;

use auditstream_model::{EpochMillis, EventFilter};
use serde_json::{Value, json};

use super::self_audit::{Change, record};
use crate::database::now;
use crate::error::Result;
use crate::{Actor, Engine};

const KIND: &str = "AUDIT_TRAIL";
const IDENTIFIER: &str = "audit_trail";
const DAY: EpochMillis = 86_400_000;
/// How long a search waits for the event of its reading.
const RECORDING: Duration = Duration::from_secs(2);

/// Records that a person reads the trail, if it is the first time today. A failure is logged only:
/// a full disk must not keep anyone from reading.
pub(super) async fn note_reading(engine: &Engine, actor: &Actor, filter: &EventFilter) {
    let Some(person) = actor.email() else { return };
    let today = now() / DAY;
    if engine.known_readers().knows(actor.account_id(), person, today) {
        return;
    }
    // A task, so that it ends even if the reader leaves.
    let recording = tokio::spawn({
        let (engine, actor, person, filter) = (engine.clone(), actor.clone(), person.to_owned(), filter.clone());
        async move {
            match record_reading(&engine, &actor, &person, today, &filter).await {
                Ok(()) => engine.known_readers().add(actor.account_id(), &person, today),
                Err(error) => tracing::warn!(%error, "the audit event of reading the trail could not be recorded"),
            }
        }
    });
    // Usually done before the page is read, so that the event is on it.
    let _ = tokio::time::timeout(RECORDING, recording).await;
}

async fn record_reading(engine: &Engine, actor: &Actor, person: &str, today: i64, filter: &EventFilter) -> Result<()> {
    let transaction = engine.database().transaction("note_reading", async |tx| {
        let noted = sqlx::query(
            "INSERT INTO trail_reader (account_id, person, day) VALUES ($1, $2, $3) \
             ON CONFLICT (account_id, person) DO UPDATE SET day = excluded.day WHERE trail_reader.day < excluded.day",
        )
        .bind(actor.account_id())
        .bind(person)
        .bind(today)
        .execute(&mut **tx)
        .await?;
        if noted.rows_affected() == 0 {
            return tx.roll_back(());
        }
        let change = Change::of(KIND, IDENTIFIER, "READ", Value::Null, json!({"filter": shown(filter)}));
        record(tx, actor, change).await.map(drop)
    });
    transaction.await
}

/// Records that an export begins.
pub(super) async fn record_export(engine: &Engine, actor: &Actor, filter: &EventFilter) -> Result<()> {
    let new = json!({"filter": shown(filter)});
    engine
        .database()
        .transaction("begin_export", async |tx| {
            let change = Change::of(KIND, IDENTIFIER, "EXPORT", Value::Null, &new);
            record(tx, actor, change).await.map(drop)
        })
        .await
}

/// Records that an export ended, with the number of events that it contains.
pub(super) async fn record_exported(
    engine: &Engine,
    actor: &Actor,
    filter: &EventFilter,
    events: u64,
    is_complete: bool,
) -> Result<()> {
    let new = json!({"filter": shown(filter), "events": events, "complete": is_complete});
    engine
        .database()
        .transaction("end_export", async |tx| {
            let change = Change::of(KIND, IDENTIFIER, "EXPORTED", Value::Null, &new);
            record(tx, actor, change).await.map(drop)
        })
        .await
}

/// The parts of a filter that select events.
fn shown(filter: &EventFilter) -> Value {
    let selecting = EventFilter {
        end: filter.end.filter(|end| *end != EpochMillis::MAX),
        limit: None,
        cursor: None,
        ..filter.clone()
    };
    let mut value = serde_json::to_value(selecting).unwrap_or_default();
    if let Some(members) = value.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    value
}
