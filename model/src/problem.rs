//! How every refusal is sent: `application/problem+json` (RFC 9457) with a stable code.

use serde::{Deserialize, Serialize};

use crate::field::FieldError;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $title:literal;)*) => {
        /// Why something was refused: a stable word for programs, with its HTTP status and title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word that is sent.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
            /// A few words for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    /// The body is not what was announced: not JSON, not UTF-8, not gzip, cut short.
    MalformedBody = "malformed_body", 400, "The body cannot be read";
    /// A parameter of the address or a header is not usable.
    InvalidParameter = "invalid_parameter", 400, "A parameter is not usable";
    /// One or more fields do not follow their rules.
    InvalidFields = "invalid_fields", 422, "Some fields are not usable";
    /// One or more events of an ingest request do not follow the payload schema.
    InvalidEvents = "invalid_events", 422, "Some events are not usable";
    /// No sign-in, or one that has ended.
    Unauthenticated = "unauthenticated", 401, "Sign in first";
    /// The e-mail or the password is wrong.
    WrongCredentials = "wrong_credentials", 401, "The e-mail or the password is wrong";
    /// Signed in, but without the permission.
    Forbidden = "forbidden", 403, "Not permitted";
    /// The request came from another site.
    CrossSite = "cross_site", 403, "Request from another site";
    /// There is no such thing in this account.
    NotFound = "not_found", 404, "Not found";
    /// Streaming is switched off on this server.
    FeatureDisabled = "feature_disabled", 404, "Not enabled";
    /// The method is not one that the address knows.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// The body came too slowly.
    RequestTimeout = "request_timeout", 408, "The request took too long";
    /// The identifier is already in use.
    DuplicateField = "duplicate_field", 409, "Already in use";
    /// The thing's state does not allow it: an active destination deleted, an inactive one streamed.
    Conflict = "conflict", 409, "Not in this state";
    /// Something else depends on it.
    InUse = "in_use", 409, "In use";
    /// It was changed since the caller read it; see `If-Match`.
    PreconditionFailed = "precondition_failed", 412, "Changed meanwhile";
    /// Larger than a limit.
    TooLarge = "too_large", 413, "Too large";
    /// A content type or encoding that is not understood.
    UnsupportedMedia = "unsupported_media_type", 415, "Content type not understood";
    /// Too many attempts; see `Retry-After`.
    Throttled = "throttled", 429, "Too many attempts";
    /// The queue is full or the database does not answer; see `Retry-After`.
    Unavailable = "unavailable", 503, "Not available right now";
    /// A fault of ours; the log has more.
    Internal = "internal", 500, "Something went wrong";
}

/// A refusal as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A few words for people; the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable word for programs.
    pub code: Code,
    /// What happened, to what, and what to do.
    pub detail: String,
    /// The fields it is about; for events the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// How many events are invalid, named or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_events: Option<u32>,
}

impl Problem {
    /// A problem of this code with its sentence.
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

    /// The same with the fields that it is about.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The sentence about a field, if it is one of those that are wrong.
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
