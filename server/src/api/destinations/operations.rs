//! Operations on a destination and its batches: stream now, skip, replay, rename.

use auditstream_engine::destinations;
use auditstream_model::{Batch, DestinationView, Identifier, Permission, Sequence};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::caller::{AuthenticatedBody, Caller, Input};
use crate::http::etag::{IfMatch, Versioned};
use crate::http::extract::{BatchPath, Id, Page};
use crate::http::pagination::{PageOnly, Rows};
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(batches))
        .routes(routes!(stream_now))
        .routes(routes!(move_cursor))
        .routes(routes!(rename_batch))
}

/// List batches
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/streaming-destinations/{id}/batches",
    operation_id = "listBatches",
    tag = tag::DESTINATIONS,
    params(PageOnly, ("id" = Identifier, Path, description = "The destination's identifier.")),
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
/// Starts a run now instead of at the next tick.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/stream-now",
    operation_id = "streamNow",
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses(
        (status = ACCEPTED, description = "A run will start soon."),
        (status = CONFLICT, description = "`conflict`: the destination is INACTIVE."),
    )
)]
async fn stream_now(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<StatusCode, Refusal> {
    destinations::stream_now(&state.engine, &actor, &id).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The new position of the cursor.
#[derive(Debug, Deserialize, ToSchema)]
struct CursorInput {
    /// The last sequence that counts as delivered; 0 means none.
    #[schema(value_type = i64, minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    #[serde(deserialize_with = "auditstream_model::lenient_integer::required")]
    sequence: Sequence,
}

impl Input for CursorInput {
    const PERMISSION: Permission = Permission::EditDestination;
}

/// Skip or replay
///
/// Moves the cursor of an INACTIVE destination. Forward skips events; back sends them again under
/// new object names.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/cursor",
    operation_id = "moveCursor",
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    request_body(content = CursorInput, example = json!({"sequence": 1200})),
    responses(
        (status = OK, description = "The updated destination.", body = DestinationView),
        (status = CONFLICT, description = "`conflict`: the destination is ACTIVE or has never been activated."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn move_cursor(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(precondition): IfMatch,
    AuthenticatedBody(input): AuthenticatedBody<CursorInput>,
) -> Result<Versioned<DestinationView>, Refusal> {
    let moved = destinations::move_cursor(&state.engine, &actor, &id, input.sequence, &precondition).await?;
    Ok(Versioned(moved))
}

/// Send a blocked batch under a new name
///
/// For a batch whose object name is already taken by a foreign object, which stays untouched.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/batches/{number}/rename",
    operation_id = "renameBatch",
    tag = tag::DESTINATIONS,
    params(
        ("id" = Identifier, Path, description = "The destination's identifier."),
        ("number" = i64, Path, description = "The batch's number.", minimum = 1, maximum = 9_007_199_254_740_991_i64),
    ),
    responses(
        (status = ACCEPTED, description = "The batch has a new name, and a run will start soon."),
        (status = CONFLICT, description = "`conflict`: the batch is not blocked by a foreign object."),
    )
)]
async fn rename_batch(
    State(state): State<AppState>,
    Caller(actor): Caller,
    BatchPath { destination, number }: BatchPath,
) -> Result<StatusCode, Refusal> {
    destinations::rename_batch(&state.engine, &actor, &destination, number).await?;
    Ok(StatusCode::ACCEPTED)
}
