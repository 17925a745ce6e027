//! `/v1/streaming-destinations`: where to stream. Paths, fields and paging are the reference's.

use auditstream_engine::destinations;
use auditstream_model::{
    AggregateItem, Batch, BucketCheck, BucketCheckInput, Cards, Code, DestinationInput, DestinationView, Sequence,
};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use super::caller::Caller;
use super::extract::{BatchOf, Id, JsonBody, Page};
use super::listing::Rows;
use super::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun; all answer `feature_disabled` while streaming is switched off.
pub fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/streaming-destinations", get(list).post(create))
        .route("/streaming-destinations/aggregate", get(aggregate))
        .route("/streaming-destinations/cards", get(cards))
        .route("/streaming-destinations/{id}", get(read).put(replace).delete(delete))
        .route(
            "/streaming-destinations/{id}/validate-unique-identifier",
            get(is_unique),
        )
        .route("/streaming-destinations/{id}/batches", get(batches))
        .route("/streaming-destinations/{id}/stream-now", post(stream_now))
        .route("/streaming-destinations/{id}/cursor", post(move_cursor))
        .route("/streaming-destinations/check-bucket", post(check_unsaved_bucket))
        .route("/streaming-destinations/{id}/check-bucket", post(check_bucket))
        .route(
            "/streaming-destinations/{id}/batches/{number}/rename",
            post(rename_batch),
        )
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

async fn list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<DestinationView>, Refusal> {
    Ok(Rows(destinations::list(&state.engine, &actor, &query).await?))
}

async fn aggregate(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<AggregateItem>, Refusal> {
    Ok(Rows(destinations::aggregate(&state.engine, &actor, &query).await?))
}

async fn cards(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<Cards>, Refusal> {
    Ok(Json(destinations::cards(&state.engine, &actor).await?))
}

async fn create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<DestinationInput>,
) -> Result<(StatusCode, Json<DestinationView>), Refusal> {
    let made = destinations::create(&state.engine, &actor, input).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<DestinationView>, Refusal> {
    Ok(Json(destinations::get(&state.engine, &actor, &id).await?))
}

async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    JsonBody(input): JsonBody<DestinationInput>,
) -> Result<Json<DestinationView>, Refusal> {
    Ok(Json(destinations::replace(&state.engine, &actor, &id, input).await?))
}

async fn delete(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    destinations::delete(&state.engine, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn is_unique(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<Json<bool>, Refusal> {
    Ok(Json(destinations::is_unique(&state.engine, &actor, &id).await?))
}

async fn batches(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    Page(query): Page,
) -> Result<Rows<Batch>, Refusal> {
    Ok(Rows(destinations::batches(&state.engine, &actor, &id, &query).await?))
}

async fn stream_now(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    destinations::stream_now(&state.engine, &actor, &id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Where the cursor is to stand.
#[derive(Debug, Deserialize)]
struct CursorInput {
    sequence: Sequence,
}

async fn move_cursor(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    JsonBody(input): JsonBody<CursorInput>,
) -> Result<Json<DestinationView>, Refusal> {
    Ok(Json(
        destinations::move_cursor(&state.engine, &actor, &id, input.sequence).await?,
    ))
}

async fn check_bucket(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<BucketCheck>, Refusal> {
    Ok(Json(destinations::check_bucket(&state.engine, &actor, &id).await?))
}

async fn check_unsaved_bucket(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<BucketCheckInput>,
) -> Result<Json<BucketCheck>, Refusal> {
    Ok(Json(
        destinations::check_unsaved_bucket(&state.engine, &actor, input).await?,
    ))
}

async fn rename_batch(
    State(state): State<AppState>,
    Caller(actor): Caller,
    BatchOf { destination, number }: BatchOf,
) -> Result<StatusCode, Refusal> {
    destinations::rename_batch(&state.engine, &actor, &destination, number).await?;
    Ok(StatusCode::ACCEPTED)
}
