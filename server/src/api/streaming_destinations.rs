//! `/v1/streaming-destinations`: where to stream. Paths, fields and paging are the reference's.

use auditstream_engine::destinations;
use auditstream_model::{
    AggregateItem, Batch, BucketCheck, BucketCheckInput, Cards, Code, DestinationInput, DestinationView, Identifier,
    ListQuery, Sequence,
};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::extract::{BatchOf, Id, JsonBody, Page};
use crate::http::pagination::{PagesAlone, Rows};
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun; all answer `feature_disabled` while streaming is switched off.
pub fn router(state: &AppState) -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(aggregate))
        .routes(routes!(cards))
        .routes(routes!(read, replace, delete))
        .routes(routes!(is_unique))
        .routes(routes!(batches))
        .routes(routes!(stream_now))
        .routes(routes!(move_cursor))
        .routes(routes!(check_unsaved_bucket))
        .routes(routes!(check_bucket))
        .routes(routes!(rename_batch))
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

/// List streaming destinations
///
/// Last changed first, unless asked otherwise.
#[utoipa::path(
    get,
    path = "/streaming-destinations",
    operation_id = "listStreamingDestinations",
    tag = "Streaming destinations",
    params(ListQuery),
    responses((status = OK, description = "A page of destinations.", body = Vec<DestinationView>))
)]
async fn list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<DestinationView>, Refusal> {
    Ok(Rows(destinations::list(&state.engine, &actor, &query).await?))
}

/// List streaming destinations with how their streaming goes
#[utoipa::path(
    get,
    path = "/streaming-destinations/aggregate",
    operation_id = "aggregateStreamingDestinations",
    tag = "Streaming destinations",
    params(ListQuery),
    responses((status = OK, description = "A page of destinations, each with its connector and its state.", body = Vec<AggregateItem>))
)]
async fn aggregate(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<AggregateItem>, Refusal> {
    Ok(Rows(destinations::aggregate(&state.engine, &actor, &query).await?))
}

/// Count streaming destinations
///
/// The four cards above the table of the console.
#[utoipa::path(
    get,
    path = "/streaming-destinations/cards",
    operation_id = "streamingDestinationCards",
    tag = "Streaming destinations",
    responses((status = OK, description = "The cards.", body = Cards))
)]
async fn cards(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<Cards>, Refusal> {
    Ok(Json(destinations::cards(&state.engine, &actor).await?))
}

/// Create a streaming destination
///
/// INACTIVE unless sent otherwise. Where it starts is fixed at its first activation.
#[utoipa::path(
    post,
    path = "/streaming-destinations",
    operation_id = "createStreamingDestination",
    tag = "Streaming destinations",
    request_body(content = DestinationInput, example = json!({
        "identifier": "siem", "name": "SIEM", "status": "INACTIVE", "connector_ref": "aws_prod",
        "spec": {"type": "AWS_S3", "bucket": "audit-logs-prod"}
    })),
    responses(
        (status = CREATED, description = "The destination.", body = DestinationView),
        (status = CONFLICT, description = "`duplicate_field`: the identifier is in use."),
    )
)]
async fn create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<DestinationInput>,
) -> Result<Response, Refusal> {
    let made = destinations::create(&state.engine, &actor, input).await?;
    let location = format!("/v1/streaming-destinations/{}", made.streaming_destination.identifier);
    Ok((StatusCode::CREATED, [(LOCATION, location)], Versioned(made)).into_response())
}

/// Read a streaming destination
#[utoipa::path(
    get,
    path = "/streaming-destinations/{id}",
    operation_id = "getStreamingDestination",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses((status = OK, description = "The destination.", body = DestinationView), (status = NOT_MODIFIED))
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    known: IfNoneMatch,
) -> Result<Response, Refusal> {
    known.answer(destinations::get(&state.engine, &actor, &id).await?)
}

/// Replace, activate or pause a streaming destination
///
/// Options of `spec` that are left out stay as they are. The identifier stays, and so does the cursor, even with another
/// connector. After a pause is answered no object is begun.
#[utoipa::path(
    put,
    path = "/streaming-destinations/{id}",
    operation_id = "replaceStreamingDestination",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    request_body(content = DestinationInput, example = json!({
        "identifier": "siem", "name": "SIEM", "status": "ACTIVE", "connector_ref": "aws_prod",
        "spec": {"type": "AWS_S3", "bucket": "audit-logs-prod"}
    })),
    responses(
        (status = OK, description = "The destination as it is now.", body = DestinationView),
        (status = PRECONDITION_FAILED),
    )
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(condition): IfMatch,
    JsonBody(input): JsonBody<DestinationInput>,
) -> Result<Versioned<DestinationView>, Refusal> {
    let made = destinations::replace_if(&state.engine, &actor, &id, input, &condition).await?;
    Ok(Versioned(made))
}

/// Delete a streaming destination
///
/// It must be INACTIVE. Its batches go with it; objects in the bucket stay.
#[utoipa::path(
    delete,
    path = "/streaming-destinations/{id}",
    operation_id = "deleteStreamingDestination",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses(
        (status = NO_CONTENT, description = "It is gone."),
        (status = CONFLICT, description = "`conflict`: it is ACTIVE."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn delete(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(condition): IfMatch,
) -> Result<StatusCode, Refusal> {
    destinations::delete_if(&state.engine, &actor, &id, &condition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask whether an identifier is free
#[utoipa::path(
    get,
    path = "/streaming-destinations/{id}/validate-unique-identifier",
    operation_id = "validateUniqueIdentifier",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The identifier that a destination is to have.")),
    responses(
        (status = OK, description = "Whether no destination has it.", body = bool, content_type = "application/json"),
        (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: it is not an identifier."),
    )
)]
async fn is_unique(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<Json<bool>, Refusal> {
    Ok(Json(destinations::is_unique(&state.engine, &actor, &id).await?))
}

/// List what was streamed
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/streaming-destinations/{id}/batches",
    operation_id = "listBatches",
    tag = "Streaming destinations",
    params(PagesAlone, ("id" = Identifier, Path, description = "The destination's identifier.")),
    responses((status = OK, description = "A page of batches.", body = Vec<Batch>))
)]
async fn batches(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    Page(query): Page,
) -> Result<Rows<Batch>, Refusal> {
    Ok(Rows(destinations::batches(&state.engine, &actor, &id, &query).await?))
}

/// Stream now
///
/// Starts a run without waiting for the next tick.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/stream-now",
    operation_id = "streamNow",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses(
        (status = ACCEPTED, description = "A run will start."),
        (status = CONFLICT, description = "`conflict`: the destination is INACTIVE."),
    )
)]
async fn stream_now(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    destinations::stream_now(&state.engine, &actor, &id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Where the cursor is to stand.
#[derive(Debug, Deserialize, ToSchema)]
struct CursorInput {
    /// The last sequence that counts as delivered; 0 stands before the first.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    #[serde(deserialize_with = "auditstream_model::lenient_integer::required")]
    sequence: Sequence,
}

/// Skip or replay
///
/// Moves the cursor of an INACTIVE destination: forward skips events, back sends them again under new names.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/cursor",
    operation_id = "moveCursor",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    request_body(content = CursorInput, example = json!({"sequence": 1200})),
    responses(
        (status = OK, description = "The destination as it is now.", body = DestinationView),
        (status = CONFLICT, description = "`conflict`: it is ACTIVE, or never was."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn move_cursor(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(condition): IfMatch,
    JsonBody(input): JsonBody<CursorInput>,
) -> Result<Versioned<DestinationView>, Refusal> {
    let moved = destinations::move_cursor_if(&state.engine, &actor, &id, input.sequence, &condition).await?;
    Ok(Versioned(moved))
}

/// Check the bucket of a streaming destination
///
/// Writes one fixed key (or one beside it, where that is there already), reads it back, writes it again on condition
/// that it is not there, and deletes it. A bucket that does not work is an answer, not an error.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/check-bucket",
    operation_id = "checkBucket",
    tag = "Streaming destinations",
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses((status = OK, description = "What was tried, what came of it, and what to allow.", body = BucketCheck))
)]
async fn check_bucket(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<BucketCheck>, Refusal> {
    Ok(Json(destinations::check_bucket(&state.engine, &actor, &id).await?))
}

/// Check a bucket before a destination has it
#[utoipa::path(
    post,
    path = "/streaming-destinations/check-bucket",
    operation_id = "checkUnsavedBucket",
    tag = "Streaming destinations",
    request_body(content = BucketCheckInput, example = json!({"connector_ref": "aws_prod", "spec": {"type": "AWS_S3", "bucket": "audit-logs-prod"}})),
    responses((status = OK, description = "What was tried, what came of it, and what to allow.", body = BucketCheck))
)]
async fn check_unsaved_bucket(
    State(state): State<AppState>,
    Caller(actor): Caller,
    JsonBody(input): JsonBody<BucketCheckInput>,
) -> Result<Json<BucketCheck>, Refusal> {
    Ok(Json(
        destinations::check_unsaved_bucket(&state.engine, &actor, input).await?,
    ))
}

/// Send a blocked batch under a new name
///
/// For a batch whose name another object has. The other object is not touched.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/batches/{number}/rename",
    operation_id = "renameBatch",
    tag = "Streaming destinations",
    params(
        ("id" = Identifier, Path, description = "The destination's identifier."),
        ("number" = i64, Path, description = "The batch's number.", minimum = 1, maximum = 9_007_199_254_740_991_i64),
    ),
    responses(
        (status = ACCEPTED, description = "It has its new name, and a run will start."),
        (status = CONFLICT, description = "`conflict`: the batch is not blocked by another object."),
    )
)]
async fn rename_batch(
    State(state): State<AppState>,
    Caller(actor): Caller,
    BatchOf { destination, number }: BatchOf,
) -> Result<StatusCode, Refusal> {
    destinations::rename_batch(&state.engine, &actor, &destination, number).await?;
    Ok(StatusCode::ACCEPTED)
}
