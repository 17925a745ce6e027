//! The HTTP API under `/v1`. Each handler calls one function of the engine.

pub mod access;
pub mod audit_events;
pub mod caller;
pub mod clock;
pub mod connectors;
pub mod destinations;
pub mod event_query;
pub mod retention;
pub mod search_index;
pub mod webhook;

use auditstream_model::Code;
use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::http::body_encoding;
use crate::http::problem::Refusal;
use crate::state::AppState;

/// Every route under `/v1`, with its OpenAPI description.
pub fn router(state: &AppState) -> (Router<AppState>, OpenApi) {
    let (router, description) = OpenApiRouter::default()
        .merge(access::router())
        .merge(audit_events::router())
        .merge(clock::router())
        .merge(connectors::router())
        .merge(destinations::router(state))
        .merge(retention::router())
        .merge(search_index::router())
        .merge(webhook::router())
        .split_for_parts();
    let router = router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(body_encoding::name_accepted));
    (router, description)
}

async fn not_found(uri: Uri) -> Refusal {
    Refusal::new(Code::NotFound, format!("There is nothing at “{}”.", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Refusal {
    let message = format!("“{}” does not support {method}.", uri.path());
    Refusal::new(Code::MethodNotAllowed, message)
}
