//! `/v1/search-index`: the index by which events are found.

use auditstream_engine::trail;
use auditstream_model::SearchIndex;
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of the search index.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(read)).routes(routes!(rebuild))
}

/// Read the state of the search index
///
/// Events are indexed in the background, after they are stored. Searches find the others too.
#[utoipa::path(
    get,
    path = "/search-index",
    operation_id = "getSearchIndex",
    tag = tag::AUDIT_EVENTS,
    responses((status = OK, description = "How far the index has come.", body = SearchIndex))
)]
async fn read(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<SearchIndex>, Refusal> {
    Ok(Json(trail::search_index(&state.engine, &actor).await?))
}

/// Rebuild the search index
///
/// Drops the index of the account and builds it again in the background. Searches continue
/// meanwhile, but look at a limited number of events per page. A damaged part is rebuilt without
/// this request.
#[utoipa::path(
    post,
    path = "/search-index/rebuild",
    operation_id = "rebuildSearchIndex",
    tag = tag::AUDIT_EVENTS,
    responses((status = OK, description = "The index is empty, and is being built.", body = SearchIndex))
)]
async fn rebuild(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<SearchIndex>, Refusal> {
    Ok(Json(trail::rebuild_search_index(&state.engine, &actor).await?))
}
