//! `/v1/webhook`: who is told when a destination begins to fail, stays behind or recovers.

use auditstream_engine::alerts;
use auditstream_model::{Webhook, WebhookInput, WebhookTest};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::extract::JsonBody;
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of this noun.
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
    tag = "Webhook",
    responses(
        (status = OK, description = "The webhook, without its secret.", body = Webhook),
        (status = NOT_MODIFIED),
        (status = NOT_FOUND, description = "`not_found`: the account has no webhook."),
    )
)]
async fn read(State(state): State<AppState>, Caller(actor): Caller, known: IfNoneMatch) -> Result<Response, Refusal> {
    known.answer(alerts::get(&state.engine, &actor).await?)
}

/// Set the webhook
///
/// A secret that is left out stays for as long as the address does.
#[utoipa::path(
    put,
    path = "/webhook",
    operation_id = "setWebhook",
    tag = "Webhook",
    request_body(content = WebhookInput, example = json!({"url": "https://hooks.example.com/auditstream", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="})),
    responses((status = OK, description = "The webhook as it is now.", body = Webhook), (status = PRECONDITION_FAILED))
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    IfMatch(condition): IfMatch,
    JsonBody(input): JsonBody<WebhookInput>,
) -> Result<Versioned<Webhook>, Refusal> {
    let made = alerts::put_if(&state.engine, &actor, input, &condition).await?;
    Ok(Versioned(made))
}

/// Remove the webhook
///
/// With it go the messages that it has yet to get.
#[utoipa::path(
    delete,
    path = "/webhook",
    operation_id = "removeWebhook",
    tag = "Webhook",
    responses(
        (status = NO_CONTENT, description = "It is gone."),
        (status = NOT_FOUND, description = "`not_found`: the account has no webhook."),
        (status = PRECONDITION_FAILED),
    )
)]
async fn remove(
    State(state): State<AppState>,
    Caller(actor): Caller,
    IfMatch(condition): IfMatch,
) -> Result<StatusCode, Refusal> {
    alerts::remove_if(&state.engine, &actor, &condition).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Test the webhook
///
/// Sends one message of a kind of its own. A receiver that does not take it is an answer, not an error.
#[utoipa::path(
    post,
    path = "/webhook/test",
    operation_id = "testWebhook",
    tag = "Webhook",
    responses(
        (status = OK, description = "What came of it.", body = WebhookTest),
        (status = NOT_FOUND, description = "`not_found`: the account has no webhook."),
    )
)]
async fn test(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<WebhookTest>, Refusal> {
    Ok(Json(alerts::test(&state.engine, &actor).await?))
}
