//! `/healthz`: the process answers. `/readyz`: its database does, too.

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
            Err(Refusal::new(
                auditstream_model::Code::Unavailable,
                "The database does not answer.",
            ))
        }
    }
}
