//! The audit trail.

use auditstream_model::{EventFilter, EventPage, NewerCount, Sequence, SignIn, TimeRange};
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use super::client::ConsoleClient;
use crate::error::ConsoleError;

/// Returns one page of the trail, newest first, in a range of the server's clock.
#[server(client = ConsoleClient, endpoint = "events", input = Json, output = Json)]
pub async fn search_events(filter: EventFilter, range: TimeRange) -> Result<EventPage, ConsoleError> {
    let (engine, actor) = super::caller()?;
    let filter = within(filter, range);
    Ok(auditstream_engine::trail::search(&engine, &actor, &filter).await?)
}

/// Counts the matching events after a sequence, as far as one poll looks.
#[server(client = ConsoleClient, endpoint = "events/newer", input = Json, output = Json)]
pub async fn newer_events(filter: EventFilter, range: TimeRange, after: Sequence) -> Result<NewerCount, ConsoleError> {
    let (engine, actor) = super::caller()?;
    let filter = within(filter, range);
    Ok(auditstream_engine::trail::newer(&engine, &actor, &filter, after).await?)
}

/// Returns the latest sign-ins, refused sign-ins and sign-outs of the last 7 days, newest first.
#[server(client = ConsoleClient, endpoint = "sign-ins", input = Json, output = Json)]
pub async fn sign_ins() -> Result<Vec<SignIn>, ConsoleError> {
    let (engine, actor) = super::caller()?;
    Ok(auditstream_engine::trail::sign_ins(&engine, &actor).await?)
}

#[cfg(feature = "ssr")]
fn within(filter: EventFilter, range: TimeRange) -> EventFilter {
    EventFilter {
        start: filter
            .start
            .or_else(|| range.start(auditstream_engine::database::now())),
        ..filter
    }
}
