//! `/v1/connectors`: credentials and settings for AWS.

use auditstream_engine::connectors;
use auditstream_model::{ConnectionTest, ConnectorInput, ConnectorView, Identifier};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{AuthenticatedBody, Caller};
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::extract::{Id, Page};
use crate::http::pagination::{Rows, WithoutStatus};
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of connectors.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(test))
}

/// List connectors
///
/// Most recently changed first by default.
#[utoipa::path(
    get,
    path = "/connectors",
    operation_id = "listConnectors",
    tag = tag::CONNECTORS,
    params(WithoutStatus),
    responses((status = OK, description = "A page of connectors.", body = Vec<ConnectorView>))
)]
async fn list(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Page(query): Page,
) -> Result<Rows<ConnectorView>, Refusal> {
    Ok(Rows(connectors::list(&state.engine, &actor, &query).await?))
}

/// Create a connector
///
/// `MANUAL` credentials need a `secret_key`. Secrets are stored encrypted and never returned.
#[utoipa::path(
    post,
    path = "/connectors",
    operation_id = "createConnector",
    tag = tag::CONNECTORS,
    request_body(content = ConnectorInput, example = json!({
        "identifier": "aws_prod", "name": "AWS production",
        "spec": {"type": "AWS", "region": "eu-central-1",
            "credentials": {"type": "MANUAL", "access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "YOUR-SECRET-KEY"}}
    })),
    responses(
        (status = CREATED, description = "The connector.", body = ConnectorView),
        (status = CONFLICT, description = "`duplicate_field`: the identifier is in use."),
    )
)]
async fn create(
    State(state): State<AppState>,
    Caller(actor): Caller,
    AuthenticatedBody(input): AuthenticatedBody<ConnectorInput>,
) -> Result<Response, Refusal> {
    let created = connectors::create(&state.engine, &actor, input).await?;
    let location = [(LOCATION, format!("/v1/connectors/{}", created.connector.identifier))];
    Ok((StatusCode::CREATED, location, Versioned(created)).into_response())
}

/// Read a connector
#[utoipa::path(
    get,
    path = "/connectors/{id}",
    operation_id = "getConnector",
    tag = tag::CONNECTORS,
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    responses((status = OK, description = "The connector.", body = ConnectorView), (status = NOT_MODIFIED))
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    if_none_match: IfNoneMatch,
) -> Result<Response, Refusal> {
    if_none_match.respond(connectors::get(&state.engine, &actor, &id).await?)
}

/// Replace a connector
///
/// Omitted secrets keep their value, but a new endpoint or access key requires the `secret_key`
/// again. The identifier cannot change.
#[utoipa::path(
    put,
    path = "/connectors/{id}",
    operation_id = "replaceConnector",
    tag = tag::CONNECTORS,
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    request_body(content = ConnectorInput, example = json!({
        "identifier": "aws_prod", "name": "AWS production",
        "spec": {"type": "AWS", "region": "eu-central-1",
            "credentials": {"type": "MANUAL", "access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "YOUR-SECRET-KEY"}}
    })),
    responses((status = OK, description = "The updated connector.", body = ConnectorView), (status = PRECONDITION_FAILED))
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(precondition): IfMatch,
    AuthenticatedBody(input): AuthenticatedBody<ConnectorInput>,
) -> Result<Versioned<ConnectorView>, Refusal> {
    Ok(Versioned(
        connectors::replace(&state.engine, &actor, &id, input, &precondition).await?,
    ))
}

/// Delete a connector
#[utoipa::path(
    delete,
    path = "/connectors/{id}",
    operation_id = "deleteConnector",
    tag = tag::CONNECTORS,
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    responses(
        (status = NO_CONTENT, description = "The connector has been deleted."),
        (status = CONFLICT, description = "`in_use`: streaming destinations use it."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn delete(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(precondition): IfMatch,
) -> Result<StatusCode, Refusal> {
    connectors::delete(&state.engine, &actor, &id, &precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test a connector
///
/// Signs in as the connector and makes one harmless call. A failing test is reported in the body
/// with status 200.
#[utoipa::path(
    post,
    path = "/connectors/{id}/test",
    operation_id = "testConnector",
    tag = tag::CONNECTORS,
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    responses((status = OK, description = "The steps of the test and their results.", body = ConnectionTest))
)]
async fn test(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<ConnectionTest>, Refusal> {
    Ok(Json(connectors::test(&state.engine, &actor, &id).await?))
}
