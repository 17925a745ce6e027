//! Forms that work without scripts: each makes one change and responds with a redirect (303).

use auditstream_app::{Flash, paths};
use auditstream_engine::{access, destinations};
use auditstream_model::{Code, Problem, Status};
use axum::extract::{Form, FromRequest, Path, Request, State};
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::post;
use axum::{Extension, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::cookies;
use super::redirects::{local, referring_page};
use super::session_layer::Visitor;
use crate::http::problem::Refusal;
use crate::state::AppState;

/// The routes of forms. Pages at the same paths serve GET.
pub fn router() -> Router<AppState> {
    Router::new()
        .route(paths::SIGN_IN, post(sign_in))
        .route(paths::SETUP, post(redeem))
        .route(paths::INVITATION, post(redeem))
        .route(paths::SIGN_OUT, post(sign_out))
        .route(paths::DESTINATION_STATUS_ROUTE, post(set_status))
        .route(paths::THEME, post(set_theme))
}

#[derive(Deserialize)]
struct SignIn {
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
    /// Only if several accounts have a user with this address and password.
    #[serde(default)]
    account: String,
    #[serde(default)]
    next: String,
}

async fn sign_in(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Result<Response, Refusal> {
    let form: SignIn = parse(request, &state).await?;
    let previous = visitor.session.as_deref();
    let account = Some(form.account.as_str());
    let ip = &visitor.client_ip;
    match access::sign_in_to(&state.engine, account, &form.email, &form.password, previous, ip).await {
        Ok(token) => Ok(go_with_session(
            &state,
            local(&form.next).unwrap_or(paths::SETTINGS),
            &token,
        )),
        Err(error) => {
            let back = local(&form.next).map_or_else(|| paths::SIGN_IN.to_owned(), paths::sign_in_to);
            Ok(go_with_flash(&state, &back, &Refusal::from(error).0, Some(&form.email)))
        }
    }
}

#[derive(Deserialize)]
struct Redeem {
    #[serde(default)]
    token: String,
    /// Only the set-up form asks for it.
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

async fn redeem(
    State(state): State<AppState>,
    Extension(visitor): Extension<Visitor>,
    request: Request,
) -> Result<Response, Refusal> {
    let page = request.uri().path().to_owned();
    let form: Redeem = parse(request, &state).await?;
    let ip = visitor.client_ip;
    let access::Redeemed { account, email } =
        match access::redeem(&state.engine, &form.token, &form.email, &form.password, &ip).await {
            Ok(redeemed) => redeemed,
            Err(error) => {
                let back = paths::one_time_link(&page, &form.token);
                return Ok(go_with_flash(&state, &back, &Refusal::from(error).0, None));
            }
        };
    let (account, previous) = (Some(account.as_str()), visitor.session.as_deref());
    match access::sign_in_to(&state.engine, account, &email, &form.password, previous, &ip).await {
        Ok(token) => Ok(go_with_session(&state, paths::SETTINGS, &token)),
        Err(error) => Ok(go_with_flash(
            &state,
            paths::SIGN_IN,
            &Refusal::from(error).0,
            Some(&email),
        )),
    }
}

async fn sign_out(State(state): State<AppState>, Extension(visitor): Extension<Visitor>) -> Result<Response, Refusal> {
    if let (Some(actor), Some(token)) = (&visitor.actor, &visitor.session) {
        access::sign_out(&state.engine, actor, token).await?;
    }
    let cookie = cookies::write(cookies::SESSION, "", Some(0), state.is_https());
    Ok(go(paths::SIGN_IN, Some(cookie)))
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
) -> Result<Response, Refusal> {
    let back = referring_page(request.headers()).unwrap_or_else(|| paths::STREAMING.to_owned());
    let Some(actor) = visitor.actor else {
        return Ok(go(paths::SIGN_IN, None));
    };
    let form: SetStatus = parse(request, &state).await?;
    match destinations::set_status(&state.engine, &actor, &id, form.status).await {
        Ok(_) => Ok(go(&back, None)),
        Err(error) => Ok(go_with_flash(&state, &back, &Refusal::from(error).0, None)),
    }
}

#[derive(Deserialize)]
struct SetTheme {
    #[serde(default)]
    theme: String,
}

async fn set_theme(State(state): State<AppState>, request: Request) -> Result<Response, Refusal> {
    let back = referring_page(request.headers()).unwrap_or_else(|| paths::SETTINGS.to_owned());
    let form: SetTheme = parse(request, &state).await?;
    let theme = match form.theme.as_str() {
        known @ ("light" | "dark") => known,
        _ => "system",
    };
    Ok(go(&back, Some(cookies::write_theme(theme, state.is_https()))))
}

async fn parse<T: DeserializeOwned>(request: Request, state: &AppState) -> Result<T, Refusal> {
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

fn go(path: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = Redirect::to(path).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn go_with_session(state: &AppState, path: &str, token: &str) -> Response {
    go(path, Some(cookies::session(token, state.is_https())))
}

fn go_with_flash(state: &AppState, path: &str, problem: &Problem, email: Option<&str>) -> Response {
    let flash = Flash {
        refused: Some(problem.code),
        email: email.map(str::to_owned),
    };
    go(path, Some(cookies::flash(&flash, state.is_https())))
}
