//! The events that match the filters of Audit Logs, as a file: one event per line, newest first.

use auditstream_app::paths;
use auditstream_engine::{Actor, Engine, database, trail};
use auditstream_model::limits::MAX_PAGE_ROWS;
use auditstream_model::{Code, EventFilter, Permission, TimeRange};
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
    actor.require(Permission::ViewAudit)?;
    let first = EventFilter {
        start: filter.start.or_else(|| range.start(database::now())),
        limit: Some(MAX_PAGE_ROWS),
        cursor: None,
        ..filter
    };
    let pages = stream::try_unfold(Some(first), move |next| {
        let (engine, actor) = (state.engine.clone(), actor.clone());
        async move {
            match next {
                None => Ok(None),
                Some(filter) => page(&engine, &actor, filter).await.map(Some),
            }
        }
    });
    let headers = [
        (CONTENT_TYPE, "application/x-ndjson"),
        (CONTENT_DISPOSITION, "attachment; filename=\"audit-events.ndjson\""),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// The lines of one page and the filter of the next. An error aborts the download, so that a
/// download that completes is never truncated.
async fn page(
    engine: &Engine,
    actor: &Actor,
    filter: EventFilter,
) -> Result<(Bytes, Option<EventFilter>), std::io::Error> {
    let found = trail::search(engine, actor, &filter).await.map_err(|error| {
        if error.code() == Code::Internal {
            tracing::error!(%error, "an export was aborted");
        }
        std::io::Error::other(error)
    })?;
    let mut lines = String::new();
    for event in &found.events {
        lines.push_str(&event.json);
        lines.push('\n');
    }
    let next = found.next.map(|cursor| EventFilter {
        cursor: Some(cursor),
        ..filter
    });
    Ok((lines.into(), next))
}
