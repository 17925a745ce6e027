//! `/v1/audit-events`: sending and searching audit events.

use auditstream_engine::trail::{self, BodyFormat, EventRef};
use auditstream_model::limits::{REQUEST_BYTES, REQUEST_EVENTS};
use auditstream_model::{
    Code, EventField, EventFilter, EventHistogram, EventKey, EventValues, FieldErrors, IngestOutcome, Permission,
};
use axum::Json;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ArrayBuilder, Object, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Caller, read_body};
use super::event_query::{EventConditions, EventQuery};
use crate::http::arrived_body::ArrivedBody;
use crate::http::body_encoding::Encoding;
use crate::http::body_limit::Sender;
use crate::http::extract::{Id, Parameters};
use crate::http::json::media_type;
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of audit events.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(search, ingest))
        .routes(routes!(read))
        .routes(routes!(histogram))
        .routes(routes!(values))
}

/// The payload schema of an audit event, for OpenAPI.
enum Event {}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        const PAYLOAD: &str = include_str!("event.schema.json");
        let payload = serde_json::from_str::<Object>(PAYLOAD).unwrap_or_default();
        Schema::from(payload).into()
    }
}
impl ToSchema for Event {}

/// The JSON body of an ingest request, for OpenAPI.
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
/// The response is sent once the events are on disk. A request is atomic: one invalid event refuses
/// the whole request, and nothing is stored. An event with the same `auditEventId` and the same
/// content as a stored one counts as a duplicate, so a request whose response was lost can be sent
/// again: member order and escapes make no difference, and numbers are compared digit by digit. The
/// body may be compressed (`Content-Encoding: gzip` or `zstd`). Limits: 10,000 events, 16 MiB after
/// decompression, 1 MiB per event. Of the server's memory one account gets at most half; beyond
/// that, the response is 503 with `Retry-After`.
#[utoipa::path(
    post,
    path = "/audit-events",
    operation_id = "sendAuditEvents",
    tag = tag::AUDIT_EVENTS,
    request_body(
        description = "One event, an array of events, or several of either, one after another. A byte order mark is ignored.",
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
        (status = OK, description = "All events are stored.", body = IngestOutcome),
        (status = UNPROCESSABLE_ENTITY, description = "`invalid_events`: some events violate the payload schema or reuse the id of a different event (`event_id_conflict`). `errors` lists the first 100 of them, with at most 20 errors each and 1,000 together."),
    )
)]
async fn ingest(State(state): State<AppState>, request: Request) -> Result<Json<IngestOutcome>, Refusal> {
    let (mut parts, body) = request.into_parts();
    let body = ArrivedBody::of(&parts.headers, body);
    let Caller(actor) = Caller::from_request_parts(&mut parts, &state).await?;
    actor.require(Permission::IngestAudit)?;
    let format = format(&parts.headers)?;
    let encoding = Encoding::of(&parts.headers)?;
    let sender = Sender::Ingest(actor.account());
    let (body, actor) = match body {
        // The caller was authenticated after the last byte of this body.
        ArrivedBody::Whole(bytes) => {
            let body = state.body_reader.count(bytes, sender)?;
            (state.body_reader.decode(body, encoding, REQUEST_BYTES).await?, actor)
        }
        ArrivedBody::Rest(body) => {
            let request = Request::from_parts(parts, body);
            read_body(request, &state, sender, REQUEST_BYTES, encoding).await?
        }
    };
    // The body itself is dropped as soon as it is parsed. Its share of the memory budget is kept
    // until the events, which are about as large, are stored; if the client leaves, until then.
    let (bytes, memory) = body.shared();
    let outcome = trail::ingest(&state.engine, &actor, format, bytes).await?;
    drop(memory);
    Ok(Json(outcome))
}

fn format(headers: &HeaderMap) -> Result<BodyFormat, Refusal> {
    match media_type(headers).as_str() {
        "application/json" => Ok(BodyFormat::Json),
        // JSON Lines is the same under another name, of which none is registered.
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/json-lines" => Ok(BodyFormat::Ndjson),
        other => {
            let message = format!("Send Content-Type: application/json or application/x-ndjson, not “{other}”.");
            Err(Refusal::new(Code::UnsupportedMedia, message))
        }
    }
}

/// A page of the trail.
#[derive(Serialize, ToSchema)]
struct EventPage {
    /// The events as they are streamed, without `batchId`.
    #[schema(value_type = Vec<Event>)]
    events: Vec<Box<RawValue>>,
    /// The `cursor` of the next page; null on the last page.
    next: Option<String>,
    /// The `auditEventTime` down to which this page was searched, epoch ms; null on the last page.
    searched_until: Option<i64>,
    /// The `auditEventTime` down to which `q` was also found inside of words and in the names of
    /// members, epoch ms. Of older events the page has those in which a word begins with `q`; with
    /// `parts=true` it has all. Null without `q`, and if the whole range was searched that way.
    parts_searched_until: Option<i64>,
    /// The number of matching events that were left out because they are dated more than five
    /// minutes in the future, counted up to 1,000; null unless this is the first page of a search
    /// without `end`.
    in_future: Option<i64>,
}

/// Search audit events
///
/// Newest first, by `auditEventTime` and sequence. A request looks at a limited number of events:
/// a page can have fewer than `limit` of them, or none, although there are more. Continue with
/// `next` until it is null; `searched_until` is the time that the search has reached. A page also
/// ends when its events have 4 MiB.
///
/// A parameter for a member of an event can be repeated: an event has one of the values. With the
/// prefix `not_` it has none of them, and with the suffix `_prefix` it has a value that begins with
/// the text. The events that have these, and those in which a word begins with `q`, are found at
/// any depth of the trail.
#[utoipa::path(
    get,
    path = "/audit-events",
    operation_id = "searchAuditEvents",
    tag = tag::AUDIT_EVENTS,
    params(EventFilter, EventConditions),
    responses((status = OK, description = "A page of events.", body = EventPage))
)]
async fn search(
    State(state): State<AppState>,
    Caller(actor): Caller,
    EventQuery(filter): EventQuery,
) -> Result<Response, Refusal> {
    let page = trail::search(&state.engine, &actor, &filter).await?;
    let events = page
        .events
        .into_iter()
        .map(|event| RawValue::from_string(event.json))
        .collect::<Result<_, _>>();
    let events = events.map_err(auditstream_engine::Error::from)?;
    let page = Json(EventPage {
        events,
        next: page.next,
        searched_until: page.searched_until,
        parts_searched_until: page.parts_searched_until,
        in_future: page.in_future,
    });
    Ok(state.response_memory.count(actor.account(), page.into_response()).await)
}

/// How an event is named.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Naming {
    /// Whether `event` is a sequence or an id. Without it, digits are a sequence, and any other
    /// text is an id.
    by: Option<EventKey>,
}

/// Read an audit event
///
/// By its sequence or its `auditEventId`.
#[utoipa::path(
    get,
    path = "/audit-events/{event}",
    operation_id = "getAuditEvent",
    tag = tag::AUDIT_EVENTS,
    params(
        ("event" = String, Path, description = "The event's sequence, or its `auditEventId`, percent-encoded."),
        Naming
    ),
    responses((status = OK, description = "The event as it is streamed, without `batchId`.", body = Event))
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(event): Id,
    Parameters(Naming { by }): Parameters<Naming>,
) -> Result<Response, Refusal> {
    let event = trail::find(&state.engine, &actor, &EventRef::parse(&event, by)?).await?;
    let event = RawValue::from_string(event.json).map_err(auditstream_engine::Error::from)?;
    let response = Json(event).into_response();
    Ok(state.response_memory.count(actor.account(), response).await)
}

/// The buckets of a histogram.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Buckets {
    /// Buckets for the whole range, 1 to 500; 60 by default. Their width is a round one.
    #[param(minimum = 1, maximum = 500, default = 60)]
    buckets: Option<u32>,
}

/// Count audit events over time
///
/// The counts are of the events that the search with the same parameters finds. Each bucket says
/// whether its count is exact: with `q`, and beyond what one request looks at, there may be more.
#[utoipa::path(
    get,
    path = "/audit-event-histogram",
    operation_id = "getEventHistogram",
    tag = tag::AUDIT_EVENTS,
    params(EventFilter, EventConditions, Buckets),
    responses((status = OK, description = "The counts.", body = EventHistogram))
)]
async fn histogram(
    State(state): State<AppState>,
    Caller(actor): Caller,
    EventQuery(filter): EventQuery,
    Parameters(Buckets { buckets }): Parameters<Buckets>,
) -> Result<Json<EventHistogram>, Refusal> {
    let buckets = buckets.unwrap_or(60);
    if !(1..=500).contains(&buckets) {
        return Err(Refusal::parameters(FieldErrors::one(
            "buckets",
            "A histogram has 1 to 500 buckets.",
        )));
    }
    Ok(Json(trail::histogram(&state.engine, &actor, &filter, buckets).await?))
}

/// The field whose values are counted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CountedField {
    /// The field. `limit` is the number of values.
    field: EventField,
}

/// Find the most frequent values of a field
///
/// Among the events that the search with the same parameters finds. Each count says whether it is
/// exact: with `q`, and beyond what one request looks at, there may be more.
#[utoipa::path(
    get,
    path = "/audit-event-values",
    operation_id = "getEventValues",
    tag = tag::AUDIT_EVENTS,
    params(EventFilter, EventConditions, CountedField),
    responses((status = OK, description = "The values, the most frequent one first.", body = EventValues))
)]
async fn values(
    State(state): State<AppState>,
    Caller(actor): Caller,
    EventQuery(filter): EventQuery,
    Parameters(CountedField { field }): Parameters<CountedField>,
) -> Result<Json<EventValues>, Refusal> {
    Ok(Json(trail::values(&state.engine, &actor, &filter, field).await?))
}
