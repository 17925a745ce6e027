//! Pages, the server functions behind them, and files.

use std::sync::Arc;
use std::time::Duration;

use auditstream_app::{App, Visit, shell};
use auditstream_engine::Actor;
use auditstream_model::Code;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, SET_COOKIE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use leptos::nonce::use_nonce;
use leptos::prelude::{provide_context, use_context};
use leptos_axum::{LeptosRoutes, ResponseOptions, generate_route_list};

use super::cookies;
use super::session_layer::Visitor;
use crate::http::problem::Refusal;
use crate::http::protection::page_policy;
use crate::site;
use crate::state::AppState;

/// The pages as the router of the console lists them. Must be called within the runtime.
#[must_use]
pub fn list() -> Arc<Vec<leptos_axum::AxumRouteListing>> {
    let mut pages = generate_route_list(App);
    // `/` is only a redirect to the first page.
    pages.retain(|page| page.path() != "/");
    Arc::new(pages)
}

/// The routes of pages and server functions; everything else is a file, or a page that says that there is none. Server
/// functions are called with POST alone, whatever they do: what browsers send with GET is not checked for where it is from.
pub fn router(state: &AppState) -> Router<AppState> {
    Router::new()
        .route("/", get(async || Redirect::to("/settings")))
        .route("/api/{*function}", post(server_function))
        .leptos_routes_with_handler(state.pages.to_vec(), get(page))
        .fallback(file_or_not_found)
}

/// How long a page may be in the making. A database that does not answer is told sooner.
const RENDERING: Duration = Duration::from_secs(10);

/// What pages and server functions find in their context.
fn context(state: &AppState, visitor: &Visitor) -> impl Fn() + Clone + Send + Sync + 'static {
    let (engine, actor, flash) = (state.engine.clone(), visitor.actor.clone(), visitor.flash.clone());
    let visit = Visit {
        client_ip: visitor.client_ip.clone(),
        session: visitor.session.clone(),
        public_url: state.public_url.clone(),
        session_cookie: if state.secure() {
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
        // A page has a nonce of its own, which its scripts carry; a server function has none.
        if let (Some(nonce), Some(response)) = (use_nonce(), use_context::<ResponseOptions>())
            && let Some(policy) = page_policy(&nonce)
        {
            response.insert_header(CONTENT_SECURITY_POLICY, policy);
        }
    }
}

async fn page(State(state): State<AppState>, Extension(visitor): Extension<Visitor>, request: Request) -> Response {
    let path = request.uri().path();
    if visitor.actor.is_none() && (path == "/settings" || path.starts_with("/settings/")) {
        return to_sign_in(request.uri());
    }
    let options = state.leptos.clone();
    let render = leptos_axum::render_route_with_context(state.pages.to_vec(), context(&state, &visitor), move || {
        shell(options.clone())
    });
    let secure = state.secure();
    let response = ready(request, RENDERING, |request| render(State(state.clone()), request)).await;
    finish(response, &visitor, secure)
}

/// Renders a page, and renders it once more when it is not ready in time: very rarely the renderer waits for ever for what has
/// long been there.
async fn ready<F>(request: Request, within: Duration, render: impl Fn(Request) -> F) -> Response
where
    F: Future<Output = Response<Body>>,
{
    let (parts, _) = request.into_parts();
    for _ in 0..2 {
        let request = Request::from_parts(parts.clone(), Body::empty());
        match tokio::time::timeout(within, render(request)).await {
            Ok(response) => return response,
            Err(_) => tracing::error!(path = parts.uri.path(), "a page was not ready in time"),
        }
    }
    Refusal::new(
        Code::Unavailable,
        "The page was not ready in time. Try again in a few seconds.",
    )
    .into_response()
}

/// Sends whoever is not signed in to sign in, and then back to where they wanted to go.
pub(super) fn to_sign_in(wanted: &Uri) -> Response {
    let path = wanted.path_and_query().map_or("/settings", |wanted| wanted.as_str());
    Redirect::to(&format!("/sign-in?next={}", percent_encoded(path))).into_response()
}

async fn file_or_not_found(
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
    if let Some(file) = site::file(request.uri().path(), request.headers()) {
        return file;
    }
    let options = state.leptos.clone();
    let render = leptos_axum::render_app_async_with_context(context(&state, &visitor), move || shell(options.clone()));
    let mut response = finish(ready(request, RENDERING, render).await, &visitor, state.secure());
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// Pages are for one person and one moment; a flash is shown once.
fn finish(mut response: Response<Body>, visitor: &Visitor, secure: bool) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if visitor.flash.is_some() {
        headers.append(SET_COOKIE, cookies::write(cookies::FLASH, "", Some(0), secure));
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

/// The method is not one that the address knows.
pub async fn wrong_method(request: Request) -> Refusal {
    let sentence = format!("{} is not a method of “{}”.", request.method(), request.uri().path());
    Refusal::new(Code::MethodNotAllowed, sentence)
}

/// A text as the value of a parameter.
pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_page_that_is_never_ready_is_rendered_once_more_and_then_refused() {
        let soon = Duration::from_millis(20);
        for (stuck, status, rendered) in [(0, 200, 1), (1, 200, 2), (9, 503, 2)] {
            let times = AtomicUsize::new(0);
            let answer = ready(Request::new(Body::empty()), soon, |_| {
                let time = times.fetch_add(1, Ordering::SeqCst);
                async move {
                    if time < stuck {
                        std::future::pending::<()>().await;
                    }
                    Response::new(Body::empty())
                }
            });
            assert_eq!(answer.await.status().as_u16(), status);
            assert_eq!(times.into_inner(), rendered);
        }
    }
}
