//! The server as a library: configuration, HTTP, API, console, demo and command line.
//!
//! ```text
//!            ┌─ /v1/…                       api      tokens, JSON, problems
//!            ├─ /settings, /sign-in, /api   console  pages, server functions, forms; session
//!  request ──┼─ /pkg/…, /favicon.ico        site     files embedded in the binary
//!            ├─ /healthz, /readyz, /metrics ops      health and metrics
//!            └─ /openapi.json, /docs/api    openapi  the description of the API
//! ```
//!
//! In reading order:
//!
//! - [`configuration`]: commands, flags, environment variables
//! - [`cli`]: the commands; [`cli::serve`] starts and stops the server
//! - [`demo`]: data, a store and events to try the product with
//! - [`http`]: connections, protection of browsers, request parsing, responses
//! - [`state`]: the state that handlers share
//! - [`api`]: the HTTP API under `/v1`
//! - [`console`]: the pages and their forms
//! - [`site`]: the files that pages load
//! - [`ops`]: health and metrics
//! - [`openapi`]: the description of the API, for programs and for people
//! - [`log`]: the log on standard error
//! - [`fatal`]: errors that end the program

pub mod api;
pub mod cli;
pub mod configuration;
pub mod console;
pub mod demo;
pub mod fatal;
pub mod http;
pub mod log;
pub mod openapi;
pub mod ops;
pub mod site;
pub mod state;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;

use http::{client_address, csrf, request_id, security_headers};
use ops::{health, metrics};
use state::AppState;

/// Every route of the server.
pub fn router(state: AppState) -> Router {
    let (api, api_description) = api::router(&state);
    let (operation, description) = OpenApiRouter::with_openapi(openapi::document::base())
        .merge(health::router())
        .merge(metrics::router())
        .split_for_parts();
    Router::new()
        .nest("/v1", api)
        .merge(operation)
        .merge(openapi::router(description.nest("/v1", api_description)))
        .merge(console::router(&state))
        .layer(from_fn_with_state(state.origins.clone(), csrf::refuse_cross_site))
        .layer(from_fn_with_state(state.proxies.clone(), client_address::resolve))
        .layer(from_fn_with_state(state.is_https(), security_headers::add))
        .layer(from_fn(request_id::add))
        .with_state(state)
}
