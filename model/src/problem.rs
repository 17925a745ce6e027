//! The body of every error response: `application/problem+json` (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};

use crate::FieldError;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $title:literal;)*) => {
        /// Why a request was refused: a stable code for programs, with its HTTP status and title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the code as it is sent.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
            /// Returns the HTTP status.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
            /// Returns a short description for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// The body cannot be decoded: invalid JSON, UTF-8 or gzip, or truncated.
    MalformedBody = "malformed_body", 400, "The body cannot be read";
    /// A path parameter, a query parameter or a header is invalid.
    InvalidParameter = "invalid_parameter", 400, "A parameter is invalid";
    /// One or more fields are invalid.
    InvalidFields = "invalid_fields", 422, "Some fields are invalid";
    /// One or more events of an ingest request do not follow the payload schema.
    InvalidEvents = "invalid_events", 422, "Some events are invalid";
    /// The request has no session or token, or one that has ended.
    Unauthenticated = "unauthenticated", 401, "Sign in first";
    /// The e-mail or the password is wrong.
    WrongCredentials = "wrong_credentials", 401, "The e-mail or the password is wrong";
    /// Several accounts have a user with this e-mail and password; the request has to name one.
    ChooseAccount = "choose_account", 409, "Choose an account";
    /// The caller lacks the permission.
    Forbidden = "forbidden", 403, "Not permitted";
    /// The request came from another site.
    CrossSite = "cross_site", 403, "Request from another site";
    /// The account has no such object.
    NotFound = "not_found", 404, "Not found";
    /// Streaming is disabled on this server.
    FeatureDisabled = "feature_disabled", 404, "Not enabled";
    /// The path does not support the method.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// The body arrived too slowly.
    RequestTimeout = "request_timeout", 408, "The request took too long";
    /// The identifier is already in use.
    DuplicateField = "duplicate_field", 409, "Already in use";
    /// The object's state does not allow it: deleting an active destination, streaming to an
    /// inactive one.
    Conflict = "conflict", 409, "Not possible in the current state";
    /// Another object depends on it.
    InUse = "in_use", 409, "In use";
    /// The object was changed since the caller read it; see `If-Match`.
    PreconditionFailed = "precondition_failed", 412, "Changed since it was read";
    /// Larger than a limit.
    TooLarge = "too_large", 413, "Too large";
    /// The content type or encoding is not supported.
    UnsupportedMedia = "unsupported_media_type", 415, "Unsupported content type";
    /// Too many attempts; see `Retry-After`.
    Throttled = "throttled", 429, "Too many attempts";
    /// The queue is full or the database does not respond; see `Retry-After`.
    Unavailable = "unavailable", 503, "Temporarily unavailable";
    /// A fault of this program; its log has more.
    Internal = "internal", 500, "Something went wrong";
}

/// The body of an error response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A short description for people; the same for every problem with this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code for programs.
    pub code: Code,
    /// The cause and the remedy, for people.
    pub detail: String,
    /// The invalid fields; for events, those of the first 100, at most 20 each and 1,000 together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The number of invalid events, including those that `errors` does not name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_events: Option<u32>,
}

impl Problem {
    /// Creates a problem without field errors.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            invalid_events: None,
        }
    }

    /// Adds the invalid fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Returns the message about a field, or `None` if the field is valid.
    #[must_use]
    pub fn of(&self, field: &str) -> Option<&str> {
        self.errors
            .iter()
            .find(|error| error.field == field)
            .map(|error| error.message.as_str())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}
impl std::error::Error for Problem {}
