//! The binary's inside: configuration, HTTP, sign-in, the demo and the command line.
//!
//! ```text
//!            ┌─ /v1/…            api        tokens, JSON, problems
//!  request ──┼─ /settings, /sign-in, /api   console    pages, server functions, forms; session cookie
//!            ├─ /pkg/…, /favicon.ico        site       files embedded in the binary
//!            ├─ /healthz, /readyz           health
//!            ├─ /metrics                    metrics
//!            └─ /openapi.json, /docs/api    openapi
//! ```
//!
//! In reading order:
//!
//! - [`configuration`]: commands, flags, variables
//! - [`cli`]: accounts, tokens and users from the command line
//! - [`serve`]: start, ready, stop
//! - [`demo`]: data, a store and events to try the product with
//! - [`connections`]: who speaks to us, and for how long; over [`tls`] where it has a certificate
//! - [`state`]: what every handler can reach
//! - [`api`]: the HTTP API under `/v1`
//! - [`console`]: the pages and their forms
//! - [`forwarded`]: who asks, also through proxies
//! - [`site`]: the files that pages load
//! - [`protection`]: what guards browsers: headers, and requests from other sites; [`origins`] are the ones of this server
//! - [`health`]: for load balancers
//! - [`metrics`]: for Prometheus
//! - [`openapi`]: the API described, for programs and for people

pub mod api;
pub mod cli;
pub mod configuration;
pub mod console;
pub mod demo;
pub mod http;
pub mod openapi;
pub mod ops;
pub mod site;
pub mod state;

use axum::Router;
use axum::middleware::from_fn_with_state;

use http::{client_address, protection};
use ops::{health, metrics};
use state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// Every route of the server.
pub fn router(state: AppState) -> Router {
    let (api, described) = api::router(&state);
    let (operation, document) = OpenApiRouter::with_openapi(openapi::document::base())
        .merge(health::router())
        .merge(metrics::router())
        .split_for_parts();
    Router::new()
        .nest("/v1", api)
        .merge(operation)
        .merge(openapi::router(document.nest("/v1", described)))
        .merge(console::router(&state))
        .layer(from_fn_with_state(state.clone(), protection::refuse_other_sites))
        .layer(from_fn_with_state(state.clone(), client_address::recognise))
        .layer(from_fn_with_state(state.clone(), protection::security_headers))
        .with_state(state)
}
