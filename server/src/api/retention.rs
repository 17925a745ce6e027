//! `/v1/retention`: how long the events of the account are retained.

use auditstream_engine::retention;
use auditstream_model::{RemovalConfirmation, RetentionInput, RetentionView};
use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{AuthenticatedBody, Caller};
use crate::http::etag::{IfMatch, IfNoneMatch, Versioned};
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of the retention.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(read, replace))
        .routes(routes!(confirm))
}

/// Read the retention
#[utoipa::path(
    get,
    path = "/retention",
    operation_id = "getRetention",
    tag = tag::RETENTION,
    responses(
        (status = OK, description = "How long events are retained.", body = RetentionView),
        (status = NOT_MODIFIED),
    )
)]
async fn read(
    State(state): State<AppState>,
    Caller(actor): Caller,
    if_none_match: IfNoneMatch,
) -> Result<Response, Refusal> {
    if_none_match.respond(retention::get(&state.engine, &actor).await?)
}

/// Set the retention
///
/// A longer retention applies at once. A shorter one applies after a day; until then it is
/// withdrawn by setting the previous value again.
#[utoipa::path(
    put,
    path = "/retention",
    operation_id = "setRetention",
    tag = tag::RETENTION,
    request_body(content = RetentionInput, example = json!({"days": 730})),
    responses(
        (status = OK, description = "The updated retention.", body = RetentionView),
        (status = PRECONDITION_FAILED),
    )
)]
async fn replace(
    State(state): State<AppState>,
    Caller(actor): Caller,
    IfMatch(precondition): IfMatch,
    AuthenticatedBody(input): AuthenticatedBody<RetentionInput>,
) -> Result<Versioned<RetentionView>, Refusal> {
    Ok(Versioned(
        retention::put(&state.engine, &actor, input, &precondition).await?,
    ))
}

/// Confirm a large removal
///
/// Old events that are most of the trail are not removed at once, unless elapsed time explains it,
/// before an admin has confirmed it.
#[utoipa::path(
    post,
    path = "/retention/confirm",
    operation_id = "confirmRemoval",
    tag = tag::RETENTION,
    request_body(content = RemovalConfirmation, example = json!({"last_sequence": 1200})),
    responses(
        (status = OK, description = "The retention; the events are removed soon.", body = RetentionView),
        (status = CONFLICT, description = "`conflict`: no removal up to this event waits for a confirmation."),
    )
)]
async fn confirm(
    State(state): State<AppState>,
    Caller(actor): Caller,
    AuthenticatedBody(input): AuthenticatedBody<RemovalConfirmation>,
) -> Result<Versioned<RetentionView>, Refusal> {
    Ok(Versioned(
        retention::confirm_removal(&state.engine, &actor, input).await?,
    ))
}
