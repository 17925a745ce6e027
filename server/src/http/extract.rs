//! Extractors for paths and query strings. A rejection is a problem that names the parameter.

use auditstream_model::{Code, FieldErrors, ListQuery};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::problem::Refusal;

/// The parameters of the query string. An empty value counts as absent, as forms send it.
#[derive(Debug)]
pub struct Parameters<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        deserialize_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads the parameters of a query string.
pub fn deserialize_query<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    if query.contains("%00") {
        let message = "A parameter cannot contain the character U+0000.";
        return Err(Refusal::new(Code::InvalidParameter, message));
    }
    let is_sent = |pair: &&str| !pair.split_once('=').is_some_and(|(_, value)| value.is_empty());
    let query = query.split('&').filter(is_sent).collect::<Vec<_>>().join("&");
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let field = error.path().to_string();
        Refusal::parameters(FieldErrors::one(field, format!("{}.", error.inner())))
    })
}

/// The page of a list that is requested.
#[derive(Debug)]
pub struct Page(pub ListQuery);

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Parameters(query) = Parameters::<ListQuery>::from_request_parts(parts, state).await?;
        query.validated().map(Self).map_err(Refusal::parameters)
    }
}

/// The identifier in the path.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(identifier)) if !identifier.contains('\0') => Ok(Self(identifier)),
            _ => Err(nothing_here()),
        }
    }
}

/// The batch of a destination in the path.
#[derive(Debug)]
pub struct BatchPath {
    /// The destination's identifier.
    pub destination: String,
    /// The batch's number.
    pub number: i64,
}

impl<S: Send + Sync> FromRequestParts<S> for BatchPath {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::<(String, i64)>::from_request_parts(parts, state).await {
            Ok(Path((destination, number))) if !destination.contains('\0') => Ok(Self { destination, number }),
            _ => Err(nothing_here()),
        }
    }
}

fn nothing_here() -> Refusal {
    Refusal::new(Code::NotFound, "There is nothing at this address.")
}
