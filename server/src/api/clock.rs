//! `/v1/clock`: whether the clock of the server can be trusted.

use auditstream_engine::clock;
use auditstream_model::{ClockConfirmation, ClockStatus};
use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{AuthenticatedBody, Caller};
use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes of the clock.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(read)).routes(routes!(confirm))
}

/// Read the clock
///
/// Old events are removed only while the clock of the server is not in doubt.
#[utoipa::path(
    get,
    path = "/clock",
    operation_id = "getClock",
    tag = tag::RETENTION,
    responses((status = OK, description = "The clock of the server that responds.", body = ClockStatus))
)]
async fn read(State(state): State<AppState>, Caller(actor): Caller) -> Result<Json<ClockStatus>, Refusal> {
    Ok(Json(clock::status(&state.engine, &actor).await?))
}

/// Confirm the clock
///
/// Confirms that the clock is right although the installation knows another time, as after a long
/// stop. Admins of the account `default` can do this.
#[utoipa::path(
    post,
    path = "/clock/confirm",
    operation_id = "confirmClock",
    tag = tag::RETENTION,
    request_body(content = ClockConfirmation, example = json!({"time": 1_800_000_000_000_i64})),
    responses(
        (status = OK, description = "The confirmed clock.", body = ClockStatus),
        (status = CONFLICT, description = "`conflict`: the clock of the server or of the database shows another time."),
    )
)]
async fn confirm(
    State(state): State<AppState>,
    Caller(actor): Caller,
    AuthenticatedBody(input): AuthenticatedBody<ClockConfirmation>,
) -> Result<Json<ClockStatus>, Refusal> {
    Ok(Json(clock::confirm(&state.engine, &actor, input).await?))
}
