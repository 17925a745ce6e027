//! Listing, creating, reading, changing and deleting destinations.

use auditstream_engine::destinations;
use auditstream_model::{AggregateItem, Cards, DestinationInput, DestinationView, Identifier, ListQuery};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::caller::{AuthenticatedBody, Caller};
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::extract::{Id, Page};
use crate::http::pagination::Rows;
use crate::http::problem::Refusal;
use crate::openapi::names::{operation, tag};
use crate::state::AppState;

const READ_ONLY_IDENTIFIER: &str = "`method_not_allowed`: `cards` and `aggregate` can only be read.";

pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(aggregate))
        .routes(routes!(cards))
        .routes(routes!(read, replace, delete))
        .routes(routes!(is_unique))
}

/// List streaming destinations
///
/// Most recently changed first by default.
#[utoipa::path(
    get,
    path = "/streaming-destinations",
    operation_id = "listStreamingDestinations",
    tag = tag::DESTINATIONS,
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

/// List streaming destinations with their connector and state
#[utoipa::path(
    get,
    path = "/streaming-destinations/aggregate",
    operation_id = "aggregateStreamingDestinations",
    tag = tag::DESTINATIONS,
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
/// The four cards above the console's table.
#[utoipa::path(
    get,
    path = "/streaming-destinations/cards",
    operation_id = "streamingDestinationCards",
    tag = tag::DESTINATIONS,
    responses((status = OK, description = "The cards.", body = Cards))
)]
async fn cards(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<Cards>, Refusal> {
    Ok(Json(destinations::cards(&state.engine, &actor).await?))
}

/// Create a streaming destination
///
/// INACTIVE by default. Where it starts in the trail is fixed when it is first activated.
#[utoipa::path(
    post,
    path = "/streaming-destinations",
    operation_id = "createStreamingDestination",
    tag = tag::DESTINATIONS,
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
    AuthenticatedBody(input): AuthenticatedBody<DestinationInput>,
) -> Result<Response, Refusal> {
    let created = destinations::create(&state.engine, &actor, input).await?;
    let location = format!(
        "/v1/streaming-destinations/{}",
        created.streaming_destination.identifier
    );
    Ok((StatusCode::CREATED, [(LOCATION, location)], Versioned(created)).into_response())
}

/// Read a streaming destination
#[utoipa::path(
    get,
    path = "/streaming-destinations/{id}",
    operation_id = "getStreamingDestination",
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses((status = OK, description = "The destination.", body = DestinationView), (status = NOT_MODIFIED))
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    if_none_match: IfNoneMatch,
) -> Result<Response, Refusal> {
    if_none_match.respond(destinations::get(&state.engine, &actor, &id).await?)
}

/// Replace, activate or pause a streaming destination
///
/// Omitted options of `spec` keep their value. The identifier cannot change, and the cursor stays
/// where it is, even with another connector. No upload starts after the response to a pause.
#[utoipa::path(
    put,
    path = "/streaming-destinations/{id}",
    operation_id = "replaceStreamingDestination",
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    request_body(content = DestinationInput, example = json!({
        "identifier": "siem", "name": "SIEM", "status": "ACTIVE", "connector_ref": "aws_prod",
        "spec": {"type": "AWS_S3", "bucket": "audit-logs-prod"}
    })),
    responses(
        (status = OK, description = "The updated destination.", body = DestinationView),
        (status = METHOD_NOT_ALLOWED, description = READ_ONLY_IDENTIFIER),
        (status = PRECONDITION_FAILED),
    )
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(precondition): IfMatch,
    AuthenticatedBody(input): AuthenticatedBody<DestinationInput>,
) -> Result<Versioned<DestinationView>, Refusal> {
    Ok(Versioned(
        destinations::replace(&state.engine, &actor, &id, input, &precondition).await?,
    ))
}

/// Delete a streaming destination
///
/// It must be INACTIVE. Its batches are deleted with it; the objects in the bucket stay.
#[utoipa::path(
    delete,
    path = "/streaming-destinations/{id}",
    operation_id = "deleteStreamingDestination",
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The destination's identifier.")),
    responses(
        (status = NO_CONTENT, description = "The destination has been deleted."),
        (status = METHOD_NOT_ALLOWED, description = READ_ONLY_IDENTIFIER),
        (status = CONFLICT, description = "`conflict`: the destination is ACTIVE."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn delete(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(precondition): IfMatch,
) -> Result<StatusCode, Refusal> {
    destinations::delete(&state.engine, &actor, &id, &precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Check whether an identifier is available
#[utoipa::path(
    get,
    path = "/streaming-destinations/{id}/validate-unique-identifier",
    operation_id = operation::VALIDATE_UNIQUE_IDENTIFIER,
    tag = tag::DESTINATIONS,
    params(("id" = Identifier, Path, description = "The identifier to check.")),
    responses(
        (status = OK, description = "Whether the identifier is available.", body = bool, content_type = "application/json"),
        (status = UNPROCESSABLE_ENTITY, description = "`invalid_fields`: not a valid identifier."),
    )
)]
async fn is_unique(State(state): State<AppState>, Caller(actor): Caller, Id(id): Id) -> Result<Json<bool>, Refusal> {
    Ok(Json(destinations::is_unique(&state.engine, &actor, &id).await?))
}
