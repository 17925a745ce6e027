//! Pages and the server functions that they call.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use auditstream_app::{App, Visit, paths, shell};
use auditstream_engine::Actor;
use auditstream_model::Code;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, SET_COOKIE};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{AxumRouteListing, LeptosRoutes, ResponseOptions, generate_route_list};

use super::cookies;
use super::redirects::to_sign_in;
use super::session_layer::Visitor;
use crate::http::problem::Refusal;
use crate::http::security_headers::page_policy;
use crate::state::AppState;

/// Returns the pages of the console's router. The first call must run within a Tokio runtime.
///
/// The list is generated once per process, before any page renders: while Leptos generates it, a
/// static flag suppresses every resource of the process (`SuppressResourceLoad`), and a resource
/// that sees the flag never loads. See <https://github.com/leptos-rs/leptos/issues/4773>.
#[must_use]
pub fn list() -> Arc<Vec<AxumRouteListing>> {
    static PAGES: LazyLock<Arc<Vec<AxumRouteListing>>> = LazyLock::new(|| {
        let mut pages = generate_route_list(App);
        // `/` only redirects to the first page.
        pages.retain(|page| page.path() != "/");
        Arc::new(pages)
    });
    Arc::clone(&PAGES)
}

/// The routes of pages and server functions; everything else is the page for 404. Server
/// functions accept POST only, even for reads, because GET is exempt from the CSRF check.
pub fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/", get(async || Redirect::to(paths::SETTINGS)))
        .route("/api/{*function}", post(server_function))
        .leptos_routes_with_handler(state.pages.to_vec(), get(page))
        .fallback(not_found)
}

/// A database that does not respond is reported sooner.
const RENDERING_LIMIT: Duration = Duration::from_secs(10);

fn context(state: &AppState, visitor: &Visitor) -> impl Fn() + Clone + Send + Sync + 'static {
    let (engine, actor, flash) = (state.engine.clone(), visitor.actor.clone(), visitor.flash.clone());
    let visit = Visit {
        client_ip: visitor.client_ip.clone(),
        session: visitor.session.clone(),
        public_url: state.public_url.clone(),
        session_cookie: if state.is_https() {
            |token| cookies::session(token, true)
        } else {
            |token| cookies::session(token, false)
        },
    };
    move || {
        provide_context(engine.clone());
        provide_context::<Option<Actor>>(actor.clone());
        provide_context(flash.clone().unwrap_or_default());
        provide_context(visit.clone());
        // Only pages have a nonce.
        if let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>())
            && let Some(policy) = page_policy(&nonce)
        {
            response.insert_header(CONTENT_SECURITY_POLICY, policy);
        }
    }
}

async fn page(State(state): State<AppState>, Extension(visitor): Extension<Visitor>, request: Request) -> Response {
    let path = request.uri().path();
    if visitor.actor.is_none() && paths::requires_session(path) {
        return to_sign_in(request.uri());
    }
    let options = state.leptos.clone();
    let render = leptos_axum::render_route_with_context(state.pages.to_vec(), context(&state, &visitor), move || {
        shell(options.clone())
    });
    let is_https = state.is_https();
    let path = path.to_owned();
    let response = within(RENDERING_LIMIT, &path, render(State(state), request)).await;
    finish(response, &visitor, is_https)
}

async fn within(limit: Duration, path: &str, rendering: impl Future<Output = Response<Body>>) -> Response {
    tokio::time::timeout(limit, rendering).await.unwrap_or_else(|_| {
        tracing::error!(path, "rendering a page took too long");
        Refusal::new(
            Code::Unavailable,
            "The page was not ready in time. Try again in a few seconds.",
        )
        .into_response()
    })
}

async fn not_found(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Refusal::new(
            Code::NotFound,
            format!("There is nothing at “{}”.", request.uri().path()),
        )
        .into_response();
    }
    let options = state.leptos.clone();
    let render = leptos_axum::render_app_async_with_context(context(&state, &visitor), move || shell(options.clone()));
    let path = request.uri().path().to_owned();
    let response = within(RENDERING_LIMIT, &path, render(request)).await;
    let mut response = finish(response, &visitor, state.is_https());
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// Forbids caching and deletes the flash that was shown.
fn finish(mut response: Response<Body>, visitor: &Visitor, is_https: bool) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if visitor.flash.is_some() {
        headers.append(SET_COOKIE, cookies::write(cookies::FLASH, "", Some(0), is_https));
    }
    response
}

async fn server_function(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Response {
    let mut response = leptos_axum::handle_server_fns_with_context(context(&state, &visitor), request)
        .await
        .into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The refusal of a method that a path does not support.
pub async fn method_not_allowed(request: Request) -> Refusal {
    let message = format!("“{}” does not support {}.", request.uri().path(), request.method());
    Refusal::new(Code::MethodNotAllowed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_takes_too_long_is_refused() {
        let limit = Duration::from_millis(20);
        let rendered = async || Response::new(Body::from("page"));
        assert_eq!(within(limit, "/setup", rendered()).await.status(), StatusCode::OK);
        let stuck = std::future::pending::<Response>();
        let refused = within(limit, "/setup", stuck).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
