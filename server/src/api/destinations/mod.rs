//! `/v1/streaming-destinations`: paths, fields and paging follow the reference system's API.

mod bucket_check;
mod crud;
mod operations;

use auditstream_model::Code;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;

use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of destinations; all refuse with `feature_disabled` while streaming is disabled.
pub fn router(state: &AppState) -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .merge(crud::router())
        .merge(operations::router())
        .merge(bucket_check::router())
        .route_layer(from_fn_with_state(state.clone(), only_when_enabled))
}

async fn only_when_enabled(State(state): State<AppState>, request: Request, next: Next) -> Result<Response, Refusal> {
    if state.engine.streaming_enabled() {
        return Ok(next.run(request).await);
    }
    Err(Refusal::new(
        Code::FeatureDisabled,
        "Audit log streaming is not enabled. Contact your administrator.",
    ))
}
