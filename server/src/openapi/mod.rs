//! The description of the API, generated from its routes and types: `/openapi.json` for programs,
//! `/docs/api` for people. Neither requires signing in.

pub mod document;
pub mod html;
pub mod names;
pub mod rules;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;

use crate::console::cookies;
use crate::http::etag::{self, IfNoneMatch};
use crate::state::AppState;

const STYLE: &str = include_str!("../../../style/reference.css");

#[derive(Debug)]
struct Rendered {
    json: String,
    /// The `ETag` of `json`.
    etag: String,
    page: html::Page,
}

/// The routes that serve the document of all other routes.
pub fn router(document: OpenApi) -> Router<AppState> {
    let document = document::complete(document);
    let json = format!("{document:#}");
    let rendered = Rendered {
        etag: etag::of_digest(&Sha256::digest(json.as_bytes())),
        page: html::Page::of(&document),
        json,
    };
    let rendered = Arc::new(rendered);
    let for_page = Arc::clone(&rendered);
    Router::new()
        .route(
            "/openapi.json",
            get(async move |if_none_match: IfNoneMatch| show_document(&rendered, &if_none_match)),
        )
        .route(
            "/docs/api",
            get(async move |headers: HeaderMap| show_page(&for_page, &headers)),
        )
        .route("/docs/api.css", get(style))
}

fn show_document(rendered: &Rendered, if_none_match: &IfNoneMatch) -> Response {
    let headers = [
        (ETAG, format!("\"{}\"", rendered.etag)),
        (CACHE_CONTROL, "public, max-age=300".to_owned()),
    ];
    if if_none_match.matches(&rendered.etag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, "application/json")], rendered.json.clone()).into_response()
}

const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'";

fn show_page(rendered: &Rendered, headers: &HeaderMap) -> Response {
    let theme = cookies::read(headers, cookies::THEME, false).filter(|theme| matches!(*theme, "light" | "dark"));
    let page = Html(rendered.page.in_theme(theme.unwrap_or("system")));
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
