//! `/v1/audit-events`: events in, events out.

use auditstream_engine::trail::{self, BodyFormat};
use auditstream_model::limits::REQUEST_BYTES;
use auditstream_model::{Code, EventFilter, IngestOutcome};
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::value::RawValue;

use super::caller::Caller;
use super::extract::{Parameters, media_type};
use super::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun.
pub fn router() -> Router<AppState> {
    Router::new().route("/audit-events", get(search).post(ingest))
}

async fn ingest(
    State(state): State<AppState>,
    Caller(actor): Caller,
    request: Request,
) -> Result<Json<IngestOutcome>, Refusal> {
    let format = format(request.headers())?;
    let encoding = encoding(request.headers())?;
    let sent = state.bodies.read(request.into_body(), REQUEST_BYTES).await?;
    let body = match encoding {
        Encoding::Identity => sent,
        Encoding::Gzip => sent.gunzip(REQUEST_BYTES).await?,
    };
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
#[derive(Serialize)]
struct Found {
    events: Vec<Box<RawValue>>,
    next: Option<String>,
}

async fn search(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Parameters(filter): Parameters<EventFilter>,
) -> Result<Json<Found>, Refusal> {
    filter.rows().map_err(Refusal::parameters)?;
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
