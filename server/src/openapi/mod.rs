//! The API described: `/openapi.json` for programs, `/docs/api` for people. Both come from the routes and the types that
//! answer, so that they cannot say anything else; neither needs a sign-in.
//!
//! - [`document`]: the OpenAPI document, completed by what holds for many operations
//! - [`page`]: the document as a page without scripts

pub mod document;
pub mod html;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;

use crate::console::cookies;
use crate::http::etag::IfNoneMatch;
use crate::state::AppState;

const STYLE: &str = include_str!("../../../style/reference.css");

/// What is served.
#[derive(Debug)]
struct Served {
    json: String,
    /// Its `ETag`.
    tag: String,
    page: html::Page,
}

/// The routes, for the document that the other routes came with.
pub fn router(described: OpenApi) -> Router<AppState> {
    let document = document::complete(described);
    let json = format!("{document:#}");
    let digest = Sha256::digest(json.as_bytes());
    let served = Served {
        tag: digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        page: html::Page::of(&document),
        json,
    };
    let shared = Arc::new(served);
    let for_people = Arc::clone(&shared);
    Router::new()
        .route(
            "/openapi.json",
            get(async move |known: IfNoneMatch| show_document(&shared, &known)),
        )
        .route(
            "/docs/api",
            get(async move |headers: HeaderMap| show_page(&for_people, &headers)),
        )
        .route("/docs/api.css", get(style))
}

fn show_document(served: &Served, known: &IfNoneMatch) -> Response {
    let headers = [
        (ETAG, format!("\"{}\"", served.tag)),
        (CACHE_CONTROL, "public, max-age=300".to_owned()),
    ];
    if known.names(&served.tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, "application/json")], served.json.clone()).into_response()
}

/// The page has no script, and only styles of this server.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'";

fn show_page(served: &Served, headers: &HeaderMap) -> Response {
    let theme = cookies::read(headers, cookies::THEME, false).filter(|theme| matches!(*theme, "light" | "dark"));
    let page = Html(served.page.in_theme(theme.unwrap_or("system")));
    let policy = [(CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    ([(CACHE_CONTROL, "no-cache"), (VARY, "cookie")], policy, page).into_response()
}

async fn style() -> Response {
    (
        [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "no-cache")],
        STYLE,
    )
        .into_response()
}
