//! The error of all server functions.

use auditstream_model::{Code, Problem};
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};

/// A refusal, with the same [`Problem`] that the API sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleError(pub Problem);

impl ConsoleError {
    /// Returns whether the session has ended.
    #[must_use]
    pub fn is_signed_out(&self) -> bool {
        self.0.code == Code::Unauthenticated
    }
}

impl std::fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for ConsoleError {}

impl FromServerFnError for ConsoleError {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        let problem = match error {
            ServerFnErrorErr::Request(_) | ServerFnErrorErr::Response(_) | ServerFnErrorErr::Deserialization(_) => {
                Problem::new(
                    Code::Unavailable,
                    "The server did not respond. Check your connection, then try again.",
                )
            }
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) => Problem::new(
                Code::MalformedBody,
                "The server did not understand the request from this page. Reload the page, then try again.",
            ),
            _ => Problem::new(
                Code::Internal,
                "Something went wrong on the server. Try again. The server log has the details.",
            ),
        };
        #[cfg(feature = "ssr")]
        return refuse(problem);
        #[cfg(not(feature = "ssr"))]
        Self(problem)
    }
}

#[cfg(feature = "ssr")]
impl From<auditstream_engine::Error> for ConsoleError {
    /// Sets the status of the response, or of the page being rendered, to that of the problem.
    fn from(error: auditstream_engine::Error) -> Self {
        refuse(error.into_problem())
    }
}

/// Returns the error of a problem and sets the status of the response.
#[cfg(feature = "ssr")]
pub(crate) fn refuse(problem: Problem) -> ConsoleError {
    if let (Some(response), Ok(status)) = (
        leptos::prelude::use_context::<leptos_axum::ResponseOptions>(),
        http::StatusCode::from_u16(problem.status),
    ) {
        response.set_status(status);
    }
    ConsoleError(problem)
}
