//! `/healthz`: the process answers. `/readyz`: its database does, too, and takes what is written.

use auditstream_engine::Error;
use auditstream_model::Code;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes for load balancers.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(alive)).routes(routes!(ready))
}

/// Ask whether the process answers
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "alive",
    tag = "Operation",
    security(()),
    responses((status = OK, description = "It does.", body = String, content_type = "text/plain"))
)]
async fn alive() -> &'static str {
    "ok\n"
}

/// Ask whether the server can work
///
/// Its database answers, and took the last events that were to be written.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "ready",
    tag = "Operation",
    security(()),
    responses((status = OK, description = "It can.", body = String, content_type = "text/plain"))
)]
async fn ready(State(state): State<AppState>) -> Result<&'static str, Refusal> {
    match state.engine.ready().await {
        Ok(()) => Ok("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            let detail = match error {
                Error::Refused(problem) => problem.detail,
                _ => "The database does not answer.".to_owned(),
            };
            Err(Refusal::new(Code::Unavailable, detail))
        }
    }
}
