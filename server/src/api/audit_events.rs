//! `/v1/audit-events`: events in, events out.

use auditstream_engine::trail::{self, BodyFormat};
use auditstream_model::limits::{REQUEST_BYTES, REQUEST_EVENTS};
use auditstream_model::{Code, EventFilter, IngestOutcome};
use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ArrayBuilder, Object, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use crate::http::extract::{Parameters, media_type};
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(search, ingest))
}

/// An audit event by the payload schema, for the document.
enum Event {}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        const PAYLOAD: &str = include_str!("event.schema.json");
        let payload = serde_json::from_str::<Object>(PAYLOAD).unwrap_or_default();
        Schema::from(payload).into()
    }
}
impl ToSchema for Event {}

/// What an ingest request may hold as JSON, for the document.
enum Events {}

impl PartialSchema for Events {
    fn schema() -> RefOr<Schema> {
        let event = || Ref::from_schema_name(Event::name());
        let several = ArrayBuilder::new().items(event()).max_items(Some(REQUEST_EVENTS));
        Schema::from(OneOfBuilder::new().item(event()).item(several).build()).into()
    }
}
impl ToSchema for Events {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Event::name().into(), Event::schema()));
    }
}

/// Send audit events
///
/// Answered when they are on disk. A request is whole or nothing: one invalid event refuses it, and stores none. The same
/// `auditEventId` with the same content is counted as a duplicate and stored once, so that a request whose answer was lost
/// can be sent again. The body may be compressed with gzip (`Content-Encoding: gzip`). At most 10,000 events and 16 MiB after
/// decompression, and 1 MiB for each event.
#[utoipa::path(
    post,
    path = "/audit-events",
    operation_id = "sendAuditEvents",
    tag = "Audit events",
    request_body(
        description = "One event, an array of events, or one event a line.",
        content(
            (Events = "application/json", example = json!({
                "auditEventId": "8b1d4c1e-6d1c-4f0a-9f57-0c2b9f6f1a11",
                "auditEventAuthor": {"principal": {"type": "USER", "identifier": "ada", "email": "ada@example.com"}},
                "auditModule": "CD",
                "auditResource": {"type": "PIPELINE", "identifier": "deploy"},
                "auditResourceScope": {"accountIdentifier": "default"},
                "auditAction": "UPDATE",
                "auditEventTime": "1688989356000"
            })),
            (String = "application/x-ndjson")
        )
    ),
    responses(
        (status = OK, description = "All of them are stored.", body = IngestOutcome),
        (status = UNPROCESSABLE_ENTITY, description = "`invalid_events`: some do not follow the payload schema, or have the id of another event (`event_id_conflict`). `errors` names the first 100."),
    )
)]
async fn ingest(
    State(state): State<AppState>,
    Caller(_): Caller,
    request: Request,
) -> Result<Json<IngestOutcome>, Refusal> {
    let format = format(request.headers())?;
    let encoding = encoding(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let sent = state.bodies.read(body, REQUEST_BYTES).await?;
    let body = match encoding {
        Encoding::Identity => sent,
        Encoding::Gzip => sent.gunzip(REQUEST_BYTES).await?,
    };
    // A token that was revoked while the body came may no longer do anything.
    let Caller(actor) = Caller::from_request_parts(&mut parts, &state).await?;
    // The room is held until the answer: the events are about as large as the body that they were read from.
    Ok(Json(
        trail::ingest(&state.engine, &actor, format, body.bytes.clone()).await?,
    ))
}

fn format(headers: &HeaderMap) -> Result<BodyFormat, Refusal> {
    match media_type(headers).as_str() {
        "application/json" => Ok(BodyFormat::Json),
        "application/x-ndjson" => Ok(BodyFormat::Ndjson),
        other => {
            let sentence = format!("Send Content-Type: application/json or application/x-ndjson, not “{other}”.");
            Err(Refusal::new(Code::UnsupportedMedia, sentence))
        }
    }
}

#[derive(Clone, Copy)]
enum Encoding {
    Identity,
    Gzip,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let mut named = headers.get_all(CONTENT_ENCODING).iter();
    let (first, second) = (named.next(), named.next());
    let word = first.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
    match (word.as_deref(), second) {
        (None | Some("" | "identity"), None) => Ok(Encoding::Identity),
        (Some("gzip" | "x-gzip"), None) => Ok(Encoding::Gzip),
        _ => Err(Refusal::new(
            Code::UnsupportedMedia,
            "Send Content-Encoding: gzip, or none.",
        )),
    }
}

/// A page of the trail as the API sends it.
#[derive(Serialize, ToSchema)]
#[schema(as = EventPage)]
struct Found {
    /// The events as they are streamed, without `batchId`.
    #[schema(value_type = Vec<Event>)]
    events: Vec<Box<RawValue>>,
    /// What to send as `cursor` for the page behind; null on the last one.
    next: Option<String>,
}

/// Search audit events
///
/// By `auditEventTime` and sequence, newest first.
#[utoipa::path(
    get,
    path = "/audit-events",
    operation_id = "searchAuditEvents",
    tag = "Audit events",
    params(EventFilter),
    responses((status = OK, description = "A page of the trail.", body = Found))
)]
async fn search(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Parameters(filter): Parameters<EventFilter>,
) -> Result<Json<Found>, Refusal> {
    filter.rows().map_err(Refusal::parameters)?;
    filter.search_text().map_err(Refusal::parameters)?;
    let page = trail::search(&state.engine, &actor, &filter).await?;
    let events = page
        .events
        .into_iter()
        .map(|event| RawValue::from_string(event.json))
        .collect::<Result<_, _>>();
    let events = events.map_err(auditstream_engine::Error::from)?;
    Ok(Json(Found {
        events,
        next: page.next,
    }))
}
