//! Ingest: from a request's body to its result.

use auditstream_model::limits::{EVENT_BYTES, NAMED_INVALID_EVENTS, REQUEST_BYTES};
use auditstream_model::{Code, FieldError, FieldErrors, IngestOutcome, Permission, Problem};
use bytes::Bytes;

use super::append::Appended;
use super::check::prepare;
use super::split::{BodyFormat, decode, split};
use super::stored_form::Prepared;
use crate::error::{Error, Result};
use crate::{Actor, Engine};

/// Bodies up to this many bytes are parsed at once: that takes less time than to hand them over.
const SMALL_BODY: usize = 32 << 10;
/// Errors that a response names, of all events together.
const REQUEST_ERRORS: usize = 1000;

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
    let events = if body.len() <= SMALL_BODY {
        parse(format, &body, actor.account().as_str())?
    } else {
        let account = actor.account().clone();
        // Parsing 16 MiB would block other tasks of the thread.
        let parsed = tokio::task::spawn_blocking(move || parse(format, &body, account.as_str())).await;
        parsed.map_err(|error| Error::Broken(error.to_string()))??
    };
    if events.is_empty() {
        return Ok(IngestOutcome::default());
    }
    match engine.writer().append(actor.account_id(), events).await? {
        Appended::Stored(outcome) => Ok(outcome),
        Appended::Conflicts { total, named } => Err(invalid_events(total, named)),
    }
}

/// Parses a body and checks its events, of the account named.
pub fn parse(format: BodyFormat, body: &[u8], account: &str) -> Result<Vec<Prepared>> {
    if body.len() > REQUEST_BYTES {
        return Err(Error::request_too_large(REQUEST_BYTES));
    }
    let raw = split(format, decode(body)?)?;
    let mut events = Vec::with_capacity(raw.len());
    let mut errors = RequestErrors::default();
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
            Ok(event) if errors.invalid == 0 => events.push(event),
            Ok(_) => {}
            Err(fields) => {
                // They are not stored.
                events = Vec::new();
                errors.add(index, fields);
            }
        }
    }
    if errors.invalid > 0 {
        Err(invalid_events(errors.invalid, errors.named))
    } else {
        Ok(events)
    }
}

/// The errors of a request's events, in bounded memory.
#[derive(Default)]
struct RequestErrors {
    invalid: usize,
    named: Vec<FieldError>,
}

impl RequestErrors {
    fn add(&mut self, index: usize, fields: FieldErrors) {
        self.invalid += 1;
        if self.invalid > NAMED_INVALID_EVENTS || self.named.len() >= REQUEST_ERRORS {
            return;
        }
        let index = u32::try_from(index).ok();
        let room = REQUEST_ERRORS - self.named.len();
        let is_cut_off = fields.0.len() > room;
        let errors = fields.0.into_iter().take(room);
        self.named.extend(errors.map(|error| FieldError { index, ..error }));
        if is_cut_off && let Some(last) = self.named.last_mut() {
            last.field = String::new();
            last.message = "There are more errors in this event and in others.".to_owned();
        }
    }
}

fn invalid_events(total: usize, errors: Vec<FieldError>) -> Error {
    let detail = format!(
        "Invalid events: {total}. No event of the request was stored. Correct or remove them and send the request again."
    );
    let mut problem = Problem::new(Code::InvalidEvents, detail).with_errors(errors);
    problem.invalid_events = u32::try_from(total).ok();
    Error::Refused(Box::new(problem))
}
