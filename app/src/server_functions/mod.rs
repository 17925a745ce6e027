//! What pages ask of the server. Each function calls exactly one function of the engine, as whoever is signed in.

pub mod access;
pub mod connectors;
pub mod destinations;
pub mod session;
pub mod trail;

#[cfg(feature = "ssr")]
use auditstream_engine::{Actor, Engine};
#[cfg(feature = "ssr")]
use auditstream_model::{Code, Problem};

#[cfg(feature = "ssr")]
use crate::Visit;
#[cfg(feature = "ssr")]
use crate::error::{ConsoleError, refuse};

/// The engine, which the server provides as a context.
#[cfg(feature = "ssr")]
fn engine() -> Result<Engine, ConsoleError> {
    leptos::prelude::use_context::<Engine>()
        .ok_or_else(|| refuse(Problem::new(Code::Internal, "The server has no engine for this page.")))
}

/// The engine and who asks; the server provides both as contexts.
#[cfg(feature = "ssr")]
fn who_asks() -> Result<(Engine, Actor), ConsoleError> {
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

/// What the server knows of the request.
#[cfg(feature = "ssr")]
fn visit() -> Result<Visit, ConsoleError> {
    leptos::prelude::use_context::<Visit>().ok_or_else(no_sessions)
}

/// Gives the browser the cookie of a session that has begun.
#[cfg(feature = "ssr")]
fn set_session(visit: &Visit, cookie: &str) -> Result<(), ConsoleError> {
    let response = leptos::prelude::use_context::<leptos_axum::ResponseOptions>().ok_or_else(no_sessions)?;
    response.append_header(http::header::SET_COOKIE, (visit.session_cookie)(cookie));
    Ok(())
}

#[cfg(feature = "ssr")]
fn no_sessions() -> ConsoleError {
    refuse(Problem::new(
        Code::Internal,
        "The server has no sessions for this page.",
    ))
}
