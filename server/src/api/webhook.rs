//! `/v1/webhook`: notifications when a destination starts to fail, lags or recovers.

use auditstream_engine::alerts;
use auditstream_model::{Webhook, WebhookInput, WebhookTest};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{AuthenticatedBody, Caller};
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of the webhook.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(read, replace, remove))
        .routes(routes!(test))
}

/// Read the webhook
#[utoipa::path(
    get,
    path = "/webhook",
    operation_id = "getWebhook",
    tag = tag::WEBHOOK,
    responses(
        (status = OK, description = "The webhook, without its secret.", body = Webhook),
        (status = NOT_MODIFIED),
        (status = NOT_FOUND, description = "`not_found`: the account has no webhook."),
    )
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    if_none_match: IfNoneMatch,
) -> Result<Response, Refusal> {
    if_none_match.respond(alerts::get(&state.engine, &actor).await?)
}

/// Set the webhook
///
/// An omitted secret keeps its value unless the URL changes.
#[utoipa::path(
    put,
    path = "/webhook",
    operation_id = "setWebhook",
    tag = tag::WEBHOOK,
    request_body(content = WebhookInput, example = json!({"url": "https://hooks.example.com/auditstream", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="})),
    responses((status = OK, description = "The updated webhook.", body = Webhook), (status = PRECONDITION_FAILED))
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    IfMatch(precondition): IfMatch,
    AuthenticatedBody(input): AuthenticatedBody<WebhookInput>,
) -> Result<Versioned<Webhook>, Refusal> {
    Ok(Versioned(
        alerts::put(&state.engine, &actor, input, &precondition).await?,
    ))
}

/// Remove the webhook
///
/// Messages that have not been delivered yet are dropped.
#[utoipa::path(
    delete,
    path = "/webhook",
    operation_id = "removeWebhook",
    tag = tag::WEBHOOK,
    responses(
        (status = NO_CONTENT, description = "The webhook has been removed."),
        (status = NOT_FOUND, description = "`not_found`: the account has no webhook."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn remove(
    State(state): State<AppState>,
    Caller(actor): Caller,
    IfMatch(precondition): IfMatch,
) -> Result<StatusCode, Refusal> {
    alerts::remove(&state.engine, &actor, &precondition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test the webhook
///
/// Sends one test message. A receiver that refuses it is reported in the body with status 200.
#[utoipa::path(
    post,
    path = "/webhook/test",
    operation_id = "testWebhook",
    tag = tag::WEBHOOK,
    responses(
        (status = OK, description = "The result of the test.", body = WebhookTest),
        (status = NOT_FOUND, description = "`not_found`: the account has no webhook."),
    )
)]
async fn test(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<WebhookTest>, Refusal> {
    Ok(Json(alerts::test(&state.engine, &actor).await?))
}
