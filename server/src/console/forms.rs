//! Forms that work without a script: each changes one thing and sends the browser on with 303.

use auditstream_app::Flash;
use auditstream_engine::{access, destinations};
use auditstream_model::{Problem, Status};
use axum::extract::{Form, Path, Request, State};
use axum::http::header::{REFERER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Extension, Router};
use serde::Deserialize;

use super::cookies;
use super::session_layer::Visitor;
use crate::http::problem::Refusal;
use crate::state::AppState;

const HOME: &str = "/settings";
const STREAMING: &str = "/settings/audit-trail/streaming";

/// The routes of forms. Pages of the same address answer GET.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sign-in", post(sign_in))
        .route("/setup", post(redeem))
        .route("/invitation", post(redeem))
        .route("/sign-out", post(sign_out))
        .route("/settings/audit-trail/streaming/{id}/status", post(set_status))
        .route("/theme", post(set_theme))
}

#[derive(Deserialize)]
struct SignIn {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

async fn sign_in(State(state): State<AppState>, Extension(visitor): Extension<Visitor>, request: Request) -> Response {
    let ip = visitor.client_ip;
    let form: SignIn = match form(request, &state).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    match access::sign_in(
        &state.engine,
        &form.email,
        &form.password,
        visitor.session.as_deref(),
        &ip,
    )
    .await
    {
        Ok(token) => go_with_session(&state, local(&form.next).unwrap_or(HOME), &token),
        Err(error) => {
            let back = local(&form.next).map(|next| format!("/sign-in?next={}", super::pages::percent_encoded(next)));
            go_with_flash(
                &state,
                back.as_deref().unwrap_or("/sign-in"),
                &Refusal::from(error).0,
                Some(&form.email),
            )
        }
    }
}

/// What the form of a one-time link sends.
#[derive(Deserialize)]
struct Redeem {
    #[serde(default)]
    token: String,
    /// Asked of the first admin alone.
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// Uses a one-time link up, and signs the person in.
async fn redeem(State(state): State<AppState>, Extension(visitor): Extension<Visitor>, request: Request) -> Response {
    let page = request.uri().path().to_owned();
    let ip = visitor.client_ip;
    let form: Redeem = match form(request, &state).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let email = match access::redeem(&state.engine, &form.token, &form.email, &form.password, &ip).await {
        Ok(email) => email,
        Err(error) => {
            let back = format!("{page}?token={}", super::pages::percent_encoded(&form.token));
            return go_with_flash(&state, &back, &Refusal::from(error).0, None);
        }
    };
    match access::sign_in(&state.engine, &email, &form.password, visitor.session.as_deref(), &ip).await {
        Ok(token) => go_with_session(&state, HOME, &token),
        Err(error) => go_with_flash(&state, "/sign-in", &Refusal::from(error).0, Some(&email)),
    }
}

async fn sign_out(State(state): State<AppState>, Extension(visitor): Extension<Visitor>) -> Response {
    if let (Some(actor), Some(token)) = (&visitor.actor, &visitor.session)
        && let Err(error) = access::sign_out(&state.engine, actor, token).await
    {
        return Refusal::from(error).into_response();
    }
    let cookie = cookies::write(cookies::SESSION, "", Some(0), state.secure());
    go("/sign-in", Some(cookie))
}

#[derive(Deserialize)]
struct SetStatus {
    status: Status,
}

async fn set_status(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let back = came_from(request.headers()).unwrap_or_else(|| STREAMING.to_owned());
    let Some(actor) = visitor.actor else {
        return go("/sign-in", None);
    };
    let form: SetStatus = match form(request, &state).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    match destinations::set_status(&state.engine, &actor, &id, form.status).await {
        Ok(_) => go(&back, None),
        Err(error) => go_with_flash(&state, &back, &Refusal::from(error).0, None),
    }
}

#[derive(Deserialize)]
struct SetTheme {
    #[serde(default)]
    theme: String,
}

async fn set_theme(State(state): State<AppState>, request: Request) -> Response {
    let back = came_from(request.headers()).unwrap_or_else(|| HOME.to_owned());
    let form: SetTheme = match form(request, &state).await {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let theme = match form.theme.as_str() {
        known @ ("light" | "dark") => known,
        _ => "system",
    };
    let cookie = cookies::write_theme(theme, state.secure());
    go(&back, Some(cookie))
}

async fn form<T: serde::de::DeserializeOwned>(request: Request, state: &AppState) -> Result<T, Refusal> {
    use auditstream_model::Code;
    use axum::extract::FromRequest;
    match Form::<T>::from_request(request, state).await {
        Ok(Form(form)) => Ok(form),
        Err(rejection) => {
            let code = match rejection.status().as_u16() {
                413 => Code::TooLarge,
                415 => Code::UnsupportedMedia,
                _ => Code::MalformedBody,
            };
            Err(Refusal::new(code, rejection.body_text()))
        }
    }
}

/// A path of this very server: nothing that a browser reads as another host's.
fn local(path: &str) -> Option<&str> {
    let is_local = path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    is_local.then_some(path)
}

/// The page that the form stood on, as a path.
fn came_from(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let path = uri.path_and_query()?.as_str();
    local(path).map(str::to_owned)
}

fn go(path: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = Redirect::to(path).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn go_with_session(state: &AppState, path: &str, token: &str) -> Response {
    go(path, Some(cookies::session(token, state.secure())))
}

/// Sends the browser on with why it was refused and the e-mail address that was typed, if that is to stay.
fn go_with_flash(state: &AppState, path: &str, problem: &Problem, email: Option<&str>) -> Response {
    let flash = Flash {
        refused: Some(problem.code.as_str().to_owned()),
        email: email.map(str::to_owned),
    };
    go(path, Some(cookies::flash(&flash, state.secure())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_gone_to() {
        for (path, expected) in [
            ("/settings/audit-trail?tab=1", true),
            ("/", true),
            ("//evil.example.com", false),
            ("/\\evil.example.com", false),
            ("https://evil.example.com", false),
            ("settings", false),
            ("/a\r\nSet-Cookie: x=y", false),
            ("", false),
        ] {
            assert_eq!(local(path).is_some(), expected, "{path}");
        }
    }
}
