//! The HTTP API under `/v1`: every handler checks what came, calls one function of the engine, and answers.
//!
//! | module | what |
//! | --- | --- |
//! | [`caller`] | who calls, by API token |
//! | [`bodies`] | bodies, bounded by bytes and time |
//! | [`extract`] | bodies, parameters and identifiers, or a problem |
//! | [`problem`], [`listing`], [`versions`] | answers, and changes to what was read |
//! | [`access`], [`audit_events`], [`connectors`], [`streaming_destinations`], [`webhook`] | the nouns |

pub mod access;
pub mod audit_events;
pub mod caller;
pub mod connectors;
pub mod streaming_destinations;
pub mod webhook;

use auditstream_model::Code;
use axum::Router;
use axum::http::{Method, Uri};

use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::http::problem::Refusal;
use crate::state::AppState;

/// Every route under `/v1`, with what the OpenAPI document says of it.
pub fn router(state: &AppState) -> (Router<AppState>, OpenApi) {
    let (router, described) = OpenApiRouter::default()
        .merge(access::router())
        .merge(audit_events::router())
        .merge(connectors::router())
        .merge(streaming_destinations::router(state))
        .merge(webhook::router())
        .split_for_parts();
    let router = router.fallback(unknown).method_not_allowed_fallback(wrong_method);
    (router, described)
}

async fn unknown(uri: Uri) -> Refusal {
    Refusal::new(Code::NotFound, format!("There is nothing at “{}”.", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::new(
        Code::MethodNotAllowed,
        format!("{method} is not a method of “{}”.", uri.path()),
    )
}
