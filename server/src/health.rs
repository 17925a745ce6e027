//! `/healthz`: the process answers. `/readyz`: its database does, too, and takes what is written.

use auditstream_engine::Error;
use auditstream_model::Code;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::api::problem::Refusal;
use crate::state::AppState;

/// The routes for load balancers.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
}

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
