//! What pages ask of the server. Each function calls exactly one function of the engine, as whoever is signed in.

pub mod connectors;
pub mod destinations;
pub mod session;
pub mod trail;

#[cfg(feature = "ssr")]
use auditstream_engine::{Actor, Engine};
#[cfg(feature = "ssr")]
use auditstream_model::{Code, Problem};

#[cfg(feature = "ssr")]
use crate::error::{ConsoleError, refuse};

/// The engine and who asks; the server provides both as contexts.
#[cfg(feature = "ssr")]
fn who_asks() -> Result<(Engine, Actor), ConsoleError> {
    use leptos::prelude::use_context;
    let engine = use_context::<Engine>()
        .ok_or_else(|| refuse(Problem::new(Code::Internal, "The server has no engine for this page.")))?;
    let actor = use_context::<Option<Actor>>().flatten().ok_or_else(|| {
        refuse(Problem::new(
            Code::Unauthenticated,
            "Your session has ended. Sign in again.",
        ))
    })?;
    Ok((engine, actor))
}
