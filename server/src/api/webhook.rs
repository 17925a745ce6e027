//! `/v1/webhook`: who is told when a destination begins to fail, stays behind or recovers.

use auditstream_engine::notify;
use auditstream_model::webhook::{Webhook, WebhookInput, WebhookTest};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::caller::Caller;
use super::extract::JsonBody;
use super::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/webhook", get(read).put(replace).delete(remove))
        .route("/webhook/test", post(test))
}

async fn read(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<Webhook>, Refusal> {
    Ok(Json(notify::get(&state.engine, &actor).await?))
}

async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<WebhookInput>,
) -> Result<Json<Webhook>, Refusal> {
    Ok(Json(notify::put(&state.engine, &actor, input).await?))
}

async fn remove(State(state): State<AppState>, Caller(actor): Caller) -> Result<StatusCode, Refusal> {
    notify::remove(&state.engine, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn test(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<WebhookTest>, Refusal> {
    Ok(Json(notify::test(&state.engine, &actor).await?))
}
