//! The receiver of an account's messages.

use auditstream_model::FieldErrors;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Uri;
use http::uri::Authority;

const MAX_URL_BYTES: usize = 2048;
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

pub(crate) struct Receiver {
    /// The name of the account.
    pub(super) account: String,
    pub(super) url: Uri,
    pub(super) secret: Vec<u8>,
}

pub(super) fn parse_url(text: &str) -> Result<Uri, FieldErrors> {
    let refuse = |message: &str| FieldErrors::one("url", message.to_owned());
    let malformed = || refuse("It must look like https://hooks.example.com/auditstream.");
    if text.len() > MAX_URL_BYTES || text.contains('#') {
        return Err(malformed());
    }
    let url: Uri = text.parse().map_err(|_| malformed())?;
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    if !matches!(url.scheme_str(), Some("http" | "https")) || !has_host {
        return Err(malformed());
    }
    let authority = url.authority().map(Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err(refuse(
            "Remove the user name and password from the URL: messages are signed.",
        ));
    }
    Ok(url)
}

/// Parses a signing key: an optional `whsec_`, then base64.
pub(super) fn parse_secret(text: &str) -> Result<Vec<u8>, FieldErrors> {
    let encoded = text.strip_prefix("whsec_").unwrap_or(text);
    let decoded = BASE64_STANDARD.decode(encoded).ok();
    decoded
        .filter(|secret| SECRET_BYTES.contains(&secret.len()))
        .ok_or_else(|| FieldErrors::one("secret", "It must be whsec_ followed by 24 to 64 bytes in base64."))
}
