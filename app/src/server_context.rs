//! Facts about a request that the server provides as contexts.

use std::sync::Arc;

use auditstream_model::Code;

/// The outcome of a form that the server handled itself, for the page that it sends the browser
/// back to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flash {
    pub refused: Option<Code>,
    /// The e-mail address that was typed, so that it need not be typed again.
    pub email: Option<String>,
}

/// The request, apart from its actor; a context of every server function.
#[derive(Clone)]
pub struct Visit {
    pub client_ip: String,
    /// The session that the browser has, if any; it ends when another one begins.
    pub session: Option<String>,
    /// Builds the `Set-Cookie` header of a session's token.
    pub session_cookie: fn(&str) -> http::HeaderValue,
    /// The public origin of the server, for links that are sent to people.
    pub public_url: Arc<str>,
}
