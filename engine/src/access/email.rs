//! E-mail addresses.

use auditstream_model::FieldErrors;

use crate::error::Result;

/// Parses an address into the form that is stored and compared: trimmed, in lower case. It is ASCII
/// only, so that no two addresses look the same; domains in other scripts have an ASCII form.
pub(super) fn parse_email(text: &str) -> Result<String> {
    let email = text.trim().to_lowercase();
    if is_email(&email) {
        return Ok(email);
    }
    Err(FieldErrors::one("email", "An e-mail address looks like ann@example.com.").into())
}

/// Whether a text has the form of an e-mail address.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, host)| !local.is_empty() && host.len() > 2 && !host.contains('@'))
        && text.len() <= 254
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
