//! The console: its pages, the server functions that they call, and the forms that work without a script.
//!
//! - [`visitor`]: who looks, by session cookie, and the word that the last form left
//! - [`pages`]: the pages, server functions and files
//! - [`export`]: the events that a page of Audit Logs asks for, as a file
//! - [`forms`]: sign-in, set-up, sign-out, status, theme
//! - [`cookies`]: reading and writing cookies

pub mod cookies;
pub mod export;
pub mod forms;
pub mod pages;
pub mod session_layer;

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::state::AppState;

/// Every route of the console, and the fallback for all that is none.
pub fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .merge(forms::router())
        .merge(export::router())
        .merge(pages::router(state))
        .method_not_allowed_fallback(pages::wrong_method)
        .layer(from_fn_with_state(state.clone(), session_layer::recognise))
}
