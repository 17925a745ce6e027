//! Who is signed in.

use auditstream_model::SignedIn;
use leptos::prelude::*;
use leptos::server_fn::codec::Json;

use crate::error::ConsoleError;

/// Who is signed in, and what this server has enabled.
#[server(endpoint = "session", input = Json, output = Json)]
pub async fn session() -> Result<SignedIn, ConsoleError> {
    use auditstream_model::{Code, Problem};
    let (engine, actor) = super::who_asks()?;
    actor
        .signed_in(&engine)
        .ok_or_else(|| crate::error::refuse(Problem::new(Code::Unauthenticated, "Sign in to use the console.")))
}
