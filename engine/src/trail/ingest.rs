//! Ingest: from a request's body to its result.

use std::collections::BTreeSet;

use auditstream_model::limits::{EVENT_BYTES, NAMED_INVALID_EVENTS, REQUEST_BYTES, REQUEST_EVENTS};
use auditstream_model::{Code, FieldError, IngestOutcome, Permission, Problem};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::append::Appended;
use super::check::prepare;
use super::stored_form::Prepared;
use crate::error::{Error, Result};
use crate::{Actor, Engine};

/// How the events of a body are delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// One event, or an array of them.
    Json,
    /// One event per line.
    Ndjson,
}

/// Stores the events of a request, all or none. They are on disk when this returns.
///
/// # Errors
/// A malformed body, invalid events, or [`Code::Unavailable`].
pub async fn ingest(engine: &Engine, actor: &Actor, format: BodyFormat, body: Bytes) -> Result<IngestOutcome> {
    actor.require(Permission::IngestAudit)?;
    let result = store(engine, actor, format, body).await;
    engine.metrics().ingested(&result);
    result
}

async fn store(engine: &Engine, actor: &Actor, format: BodyFormat, body: Bytes) -> Result<IngestOutcome> {
    let account = actor.account().clone();
    // Parsing 16 MiB would block other tasks of the thread.
    let parsed = tokio::task::spawn_blocking(move || parse(format, &body, account.as_str())).await;
    let events = parsed.map_err(|error| Error::Broken(error.to_string()))??;
    if events.is_empty() {
        return Ok(IngestOutcome::default());
    }
    match engine.writer().append(actor.account_id(), events).await? {
        Appended::Stored(outcome) => Ok(outcome),
        Appended::Conflicts(errors) => Err(invalid_events(errors.len(), errors)),
    }
}

/// Parses a body and checks its events, of the account named.
pub fn parse(format: BodyFormat, body: &[u8], account: &str) -> Result<Vec<Prepared>> {
    if body.len() > REQUEST_BYTES {
        return Err(Error::request_too_large(REQUEST_BYTES));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        Error::refused(
            Code::MalformedBody,
            format!("The body is not UTF-8 at byte {}.", error.valid_up_to()),
        )
    })?;
    let raw = match format {
        BodyFormat::Ndjson => lines(text)?,
        BodyFormat::Json => one_or_many(text)?,
    };
    if raw.len() > REQUEST_EVENTS {
        return Err(Error::refused(
            Code::TooLarge,
            format!(
                "A request has at most {REQUEST_EVENTS} events; this one has {}.",
                raw.len()
            ),
        ));
    }
    let mut events = Vec::with_capacity(raw.len());
    let mut errors: Vec<FieldError> = Vec::new();
    let mut invalid = 0;
    for (index, json) in raw.into_iter().enumerate() {
        if json.get().len() > EVENT_BYTES {
            return Err(Error::refused(
                Code::TooLarge,
                format!(
                    "An event has at most {EVENT_BYTES} bytes; event {index} has {}.",
                    json.get().len()
                ),
            ));
        }
        match prepare(json, account) {
            Ok(event) => events.push(event),
            Err(fields) => {
                invalid += 1;
                let index = u32::try_from(index).ok();
                if invalid <= NAMED_INVALID_EVENTS {
                    errors.extend(fields.0.into_iter().map(|error| FieldError { index, ..error }));
                }
            }
        }
    }
    if invalid > 0 {
        Err(invalid_events(invalid, errors))
    } else {
        Ok(events)
    }
}

fn invalid_events(total: usize, mut errors: Vec<FieldError>) -> Error {
    let mut named = BTreeSet::new();
    errors.retain(|error| {
        named.insert(error.index);
        named.len() <= NAMED_INVALID_EVENTS
    });
    let detail = format!(
        "Invalid events: {total}. No event of the request was stored. Correct or remove them and send the request again."
    );
    let mut problem = Problem::new(Code::InvalidEvents, detail).with_errors(errors);
    problem.invalid_events = u32::try_from(total).ok();
    Error::Refused(Box::new(problem))
}

fn malformed(place: &str, error: &serde_json::Error) -> Error {
    Error::refused(Code::MalformedBody, format!("The body is not JSON{place}: {error}."))
}

fn one_or_many(text: &str) -> Result<Vec<&RawValue>> {
    let trimmed = text.trim_ascii_start();
    if trimmed.is_empty() {
        return Err(Error::refused(
            Code::MalformedBody,
            "The body is empty: send one event, an array of events, or NDJSON.",
        ));
    }
    if trimmed.starts_with('[') {
        return serde_json::from_str(text).map_err(|error| malformed("", &error));
    }
    serde_json::from_str::<&RawValue>(text)
        .map(|event| vec![event])
        .map_err(|error| malformed("", &error))
}

fn lines(text: &str) -> Result<Vec<&RawValue>> {
    let mut events = Vec::new();
    for (number, line) in text
        .split('\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
    {
        events
            .push(serde_json::from_str(line).map_err(|error| malformed(&format!(" in line {}", number + 1), &error))?);
    }
    Ok(events)
}
