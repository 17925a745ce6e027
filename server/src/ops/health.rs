//! `/healthz`: whether the process responds. `/readyz`: whether it can do its work.

use std::sync::atomic::Ordering;

use auditstream_engine::Error;
use auditstream_model::Code;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Refusal;
use crate::openapi::names::tag;
use crate::state::AppState;

/// The routes for load balancers.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(alive)).routes(routes!(ready))
}

/// Check whether the process responds
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "alive",
    tag = tag::OPERATION,
    security(()),
    responses((status = OK, description = "It responds.", body = String, content_type = "text/plain"))
)]
async fn alive() -> &'static str {
    "ok\n"
}

/// Check whether the server can do its work
///
/// The database responds, the last events were committed, no commit takes unusually long, the
/// scheduler is alive, and the server is not stopping.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = tag::OPERATION,
    security(()),
    responses(
        (status = OK, description = "It can.", body = String, content_type = "text/plain"),
        (status = SERVICE_UNAVAILABLE, description = "`unavailable`: `detail` has the reason."),
    )
)]
async fn ready(State(state): State<AppState>) -> Result<&'static str, Refusal> {
    if state.stopping.load(Ordering::Relaxed) {
        return Err(Refusal::new(
            Code::Unavailable,
            "This server is stopping. Use another one.",
        ));
    }
    match state.engine.ready().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let detail = match error {
                Error::Refused(problem) => problem.detail,
                _ => "The database does not respond.".to_owned(),
            };
            Err(Refusal::new(Code::Unavailable, detail))
        }
    }
}
