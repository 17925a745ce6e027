//! `/v1/connectors`: how to reach AWS.

use auditstream_engine::connectors;
use auditstream_model::{ConnectionTest, ConnectorInput, ConnectorView};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::caller::Caller;
use super::extract::{Id, JsonBody, Page};
use super::listing::Rows;
use super::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/connectors", get(list).post(create))
        .route("/connectors/{id}", get(read).put(replace).delete(delete))
        .route("/connectors/{id}/test", post(test))
}

async fn list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<ConnectorView>, Refusal> {
    Ok(Rows(connectors::list(&state.engine, &actor, &query).await?))
}

async fn create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<ConnectorInput>,
) -> Result<(StatusCode, Json<ConnectorView>), Refusal> {
    let made = connectors::create(&state.engine, &actor, input).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<ConnectorView>, Refusal> {
    Ok(Json(connectors::get(&state.engine, &actor, &id).await?))
}

async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    JsonBody(input): JsonBody<ConnectorInput>,
) -> Result<Json<ConnectorView>, Refusal> {
    Ok(Json(connectors::replace(&state.engine, &actor, &id, input).await?))
}

async fn delete(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    connectors::delete(&state.engine, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn test(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<ConnectionTest>, Refusal> {
    Ok(Json(connectors::test(&state.engine, &actor, &id).await?))
}
