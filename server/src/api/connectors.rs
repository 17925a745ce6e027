//! `/v1/connectors`: how to reach AWS.

use auditstream_engine::connectors;
use auditstream_model::{ConnectionTest, ConnectorInput, ConnectorView, Identifier};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::extract::{Id, JsonBody, Page};
use crate::http::pagination::{Rows, WithoutStatus};
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(read, replace, delete))
        .routes(routes!(test))
}

/// List connectors
///
/// Last changed first, unless asked otherwise.
#[utoipa::path(
    get,
    path = "/connectors",
    operation_id = "listConnectors",
    tag = "Connectors",
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
/// With `MANUAL` credentials a `secret_key` is needed. Secrets are kept encrypted and never sent back.
#[utoipa::path(
    post,
    path = "/connectors",
    operation_id = "createConnector",
    tag = "Connectors",
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
    JsonBody(input): JsonBody<ConnectorInput>,
) -> Result<Response, Refusal> {
    let made = connectors::create(&state.engine, &actor, input).await?;
    let location = [(LOCATION, format!("/v1/connectors/{}", made.connector.identifier))];
    Ok((StatusCode::CREATED, location, Versioned(made)).into_response())
}

/// Read a connector
#[utoipa::path(
    get,
    path = "/connectors/{id}",
    operation_id = "getConnector",
    tag = "Connectors",
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    responses((status = OK, description = "The connector.", body = ConnectorView), (status = NOT_MODIFIED))
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    known: IfNoneMatch,
) -> Result<Response, Refusal> {
    known.answer(connectors::get(&state.engine, &actor, &id).await?)
}

/// Replace a connector
///
/// Secrets that are left out stay. Another endpoint or access key needs the `secret_key` again. The identifier stays.
#[utoipa::path(
    put,
    path = "/connectors/{id}",
    operation_id = "replaceConnector",
    tag = "Connectors",
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    request_body(content = ConnectorInput, example = json!({
        "identifier": "aws_prod", "name": "AWS production",
        "spec": {"type": "AWS", "region": "eu-central-1",
            "credentials": {"type": "MANUAL", "access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "YOUR-SECRET-KEY"}}
    })),
    responses((status = OK, description = "The connector as it is now.", body = ConnectorView), (status = PRECONDITION_FAILED))
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(condition): IfMatch,
    JsonBody(input): JsonBody<ConnectorInput>,
) -> Result<Versioned<ConnectorView>, Refusal> {
    let made = connectors::replace_if(&state.engine, &actor, &id, input, &condition).await?;
    Ok(Versioned(made))
}

/// Delete a connector
#[utoipa::path(
    delete,
    path = "/connectors/{id}",
    operation_id = "deleteConnector",
    tag = "Connectors",
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    responses(
        (status = NO_CONTENT, description = "It is gone."),
        (status = CONFLICT, description = "`in_use`: streaming destinations use it."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn delete(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
    IfMatch(condition): IfMatch,
) -> Result<StatusCode, Refusal> {
    connectors::delete_if(&state.engine, &actor, &id, &condition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test a connector
///
/// Signs in as the connector would, and makes one harmless call. That it does not work is an answer, not an error.
#[utoipa::path(
    post,
    path = "/connectors/{id}/test",
    operation_id = "testConnector",
    tag = "Connectors",
    params(("id" = Identifier, Path, description = "The connector's identifier.")),
    responses((status = OK, description = "What was tried, and what came of it.", body = ConnectionTest))
)]
async fn test(
    State(state): State<AppState>,
    Caller(actor): Caller,
    Id(id): Id,
) -> Result<Json<ConnectionTest>, Refusal> {
    Ok(Json(connectors::test(&state.engine, &actor, &id).await?))
}
