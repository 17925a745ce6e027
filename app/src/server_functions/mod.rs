//! The calls from pages to the server. Each calls one function of the engine on behalf of the
//! signed-in user.

pub mod access;
pub mod client;
pub mod connectors;
pub mod destinations;
pub mod retention;
pub mod session;
pub mod trail;

#[cfg(feature = "ssr")]
use auditstream_engine::{Actor, Engine};
#[cfg(feature = "ssr")]
use auditstream_model::{Code, Problem};

#[cfg(feature = "ssr")]
use crate::error::{ConsoleError, refuse};
#[cfg(feature = "ssr")]
use crate::server_context::Visit;

#[cfg(feature = "ssr")]
fn engine() -> Result<Engine, ConsoleError> {
    leptos::prelude::use_context::<Engine>()
        .ok_or_else(|| refuse(Problem::new(Code::Internal, "The server has no engine for this page.")))
}

#[cfg(feature = "ssr")]
fn caller() -> Result<(Engine, Actor), ConsoleError> {
    let engine = engine()?;
    let actor = leptos::prelude::use_context::<Option<Actor>>()
        .flatten()
        .ok_or_else(|| {
            refuse(Problem::new(
                Code::Unauthenticated,
                "Your session has ended. Sign in again.",
            ))
        })?;
    Ok((engine, actor))
}

#[cfg(feature = "ssr")]
fn visit() -> Result<Visit, ConsoleError> {
    leptos::prelude::use_context::<Visit>().ok_or_else(no_request)
}

#[cfg(feature = "ssr")]
fn set_session(visit: &Visit, cookie: &str) -> Result<(), ConsoleError> {
    let response = leptos::prelude::use_context::<leptos_axum::ResponseOptions>().ok_or_else(no_request)?;
    response.append_header(http::header::SET_COOKIE, (visit.session_cookie)(cookie));
    Ok(())
}

#[cfg(feature = "ssr")]
fn no_request() -> ConsoleError {
    refuse(Problem::new(Code::Internal, "The server has no request for this page."))
}
