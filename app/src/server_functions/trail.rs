//! The audit trail.

use auditstream_model::{EventFilter, EventPage};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::ConsoleError;

/// A page of the trail, newest first; with `last_days` only what happened since so many days before now, by the server's
/// clock.
#[server(endpoint = "events", input = Json, output = Json)]
pub async fn search_events(filter: EventFilter, last_days: Option<u16>) -> Result<EventPage, ConsoleError> {
    let (engine, actor) = super::who_asks()?;
    let start = last_days.map(|days| now() - i64::from(days) * 86_400_000);
    let filter = EventFilter {
        start: filter.start.or(start),
        ..filter
    };
    Ok(auditstream_engine::trail::search(&engine, &actor, &filter).await?)
}

#[cfg(feature = "ssr")]
fn now() -> auditstream_model::EpochMillis {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
