//! From a request's body to its answer.

use auditstream_model::limits::{EVENT_BYTES, REQUEST_BYTES, REQUEST_EVENTS};
use auditstream_model::{Code, FieldError, IngestOutcome, Permission};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::payload::{Prepared, prepare};
use super::writer::invalid_events;
use crate::error::{Error, Result};
use crate::{Actor, Engine};

/// How the events of a body stand beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// One event, or an array of them.
    Json,
    /// One event a line.
    Ndjson,
}

/// Stores the events of a request, all or none, and answers after they are on disk.
///
/// # Errors
/// What is wrong with the body (where), with its events (which), or that there is no room right now.
pub async fn ingest(engine: &Engine, actor: &Actor, format: BodyFormat, body: Bytes) -> Result<IngestOutcome> {
    actor.require(Permission::IngestAudit)?;
    let result = store(engine, actor, format, body).await;
    engine.metrics().ingested(&result);
    result
}

async fn store(engine: &Engine, actor: &Actor, format: BodyFormat, body: Bytes) -> Result<IngestOutcome> {
    let account = actor.account().clone();
    // Parsing sixteen megabytes takes longer than a task may hold its thread.
    let parsed = tokio::task::spawn_blocking(move || parse(format, &body, account.as_str())).await;
    let events = parsed.map_err(|error| Error::Broken(error.to_string()))??;
    if events.is_empty() {
        return Ok(IngestOutcome::default());
    }
    engine.writer().append(actor.account_id(), events).await
}

/// Checks the events of a body, of the account named.
///
/// # Errors
/// What is wrong with the body (where), or with its events (which).
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
            Err(wrong) => {
                invalid += 1;
                let index = u32::try_from(index).ok();
                if invalid <= auditstream_model::limits::NAMED_INVALID_EVENTS {
                    errors.extend(wrong.0.into_iter().map(|error| FieldError { index, ..error }));
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
