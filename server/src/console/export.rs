//! The events that match the filters of Audit Logs, as a file: one event per line, newest first.

use auditstream_app::paths;
use auditstream_engine::database;
use auditstream_engine::trail::Export;
use auditstream_model::{EventFilter, TimeRange};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures::stream;
use serde::Deserialize;

use super::redirects::to_sign_in;
use super::session_layer::Visitor;
use crate::http::extract::Parameters;
use crate::http::problem::Refusal;
use crate::http::response_memory::EXPORT_BYTES;
use crate::state::AppState;

/// The route of the export.
pub fn router() -> Router<AppState> {
    Router::new().route(paths::LOGS_EXPORT, get(export))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Range {
    range: TimeRange,
}

async fn export(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    uri: Uri,
    Parameters(Range { range }): Parameters<Range>,
    Parameters(filter): Parameters<EventFilter>,
) -> Result<Response, Refusal> {
    let Some(actor) = visitor.actor else {
        return Ok(to_sign_in(&uri));
    };
    filter.validate().map_err(Refusal::parameters)?;
    let filter = EventFilter {
        start: filter.start.or_else(|| range.start(database::now())),
        ..filter
    };
    let memory = state.response_memory.reserve(actor.account(), EXPORT_BYTES)?;
    let export = Export::begin(&state.engine, &actor, filter).await?;
    let pages = stream::try_unfold((export, memory), async |(mut export, memory)| {
        let page = lines(&mut export).await?;
        Ok::<_, std::io::Error>(page.map(|lines| (memory.attach(lines), (export, memory))))
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit-events.ndjson\""),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// The lines of one page. An error aborts the download, so that a download that completes is never
/// truncated.
async fn lines(export: &mut Export) -> Result<Option<Bytes>, std::io::Error> {
    let page = export.next_page().await.map_err(|error| {
        tracing::error!(%error, "an export was aborted");
        std::io::Error::other(error)
    })?;
    Ok(page.map(|events| {
        let mut lines = String::with_capacity(events.iter().map(|event| event.json.len() + 1).sum());
        for event in &events {
            lines.push_str(&event.json);
            lines.push('\n');
        }
        lines.into()
    }))
}
