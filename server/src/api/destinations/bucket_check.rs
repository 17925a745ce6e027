//! Checking the bucket of a destination, saved or not.

use auditstream_engine::destinations;
use auditstream_model::{BucketCheck, BucketCheckInput, Identifier};
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::caller::{AuthenticatedBody, Caller};
use crate::http::extract::Id;
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(check_unsaved_bucket))
        .routes(routes!(check_bucket))
}

/// Check the bucket of a streaming destination
///
/// Writes an object under a fixed key (or a similar one if that exists), reads it, writes it again
/// on condition that it does not exist, and deletes it. A failing check is reported in the body
/// with status 200.
#[utoipa::path(
    post,
    path = "/streaming-destinations/{id}/check-bucket",
    operation_id = "checkBucket",
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses((status = OK, description = "The steps of the check, their results, and the permissions to grant.", body = BucketCheck))
)]
async fn check_bucket(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<BucketCheck>, Refusal> {
    Ok(Json(destinations::check_bucket(&state.engine, &actor, &id).await?))
}

/// Check a bucket before saving a destination
#[utoipa::path(
    post,
    path = "/streaming-destinations/check-bucket",
    operation_id = "checkUnsavedBucket",
    tag = tag::DESTINATIONS,
    request_body(content = BucketCheckInput, example = json!({"connector_ref": "aws_prod", "spec": {"type": "AWS_S3", "bucket": "audit-logs-prod"}})),
    responses((status = OK, description = "The steps of the check, their results, and the permissions to grant.", body = BucketCheck))
)]
async fn check_unsaved_bucket(
    State(state): State<AppState>,
    Caller(actor): Caller,
    AuthenticatedBody(input): AuthenticatedBody<BucketCheckInput>,
) -> Result<Json<BucketCheck>, Refusal> {
    Ok(Json(
        destinations::check_unsaved_bucket(&state.engine, &actor, input).await?,
    ))
}
