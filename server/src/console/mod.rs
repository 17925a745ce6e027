//! The console: its pages, the server functions that they call, and forms that work without
//! scripts.

pub mod cookies;
pub mod export;
pub mod forms;
pub mod function_permissions;
pub mod pages;
pub mod redirects;
pub mod session_layer;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

use crate::site;
use crate::state::AppState;

/// Every route of the console, and the fallback for everything else.
pub fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .merge(forms::router())
        .merge(export::router())
        .merge(pages::router(state))
        .method_not_allowed_fallback(pages::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), session_layer::read_body))
        .layer(from_fn(function_permissions::check))
        .layer(from_fn_with_state(state.clone(), session_layer::identify))
        // The last layer is the first to see a request: files need neither session nor body.
        .layer(from_fn(site::serve))
}
