//! The console's cookies.
//!
//! All are `SameSite=Lax`: a link to the console from an e-mail or chat arrives with the session,
//! which `Strict` would prevent, while forms and scripts of other sites arrive without it. With
//! HTTPS, cookies that only the server uses have the prefix `__Host-`. Browsers accept it only from
//! this exact host, with `Secure` and for all paths, so a sibling domain or a plain HTTP response
//! cannot replace them. The name without the prefix is then ignored.

use std::borrow::Cow;

use auditstream_app::Flash;
use auditstream_engine::access::is_email;
use auditstream_model::Code;
use axum::http::header::{COOKIE, HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The session token.
pub const SESSION: &str = "auditstream_session";
/// The message from a form to the next page.
pub const FLASH: &str = "auditstream_flash";
const FLASH_SECONDS: u32 = 30;
/// `system`, `light` or `dark`; scripts read and write it too.
pub const THEME: &str = "theme";

/// The name of a cookie, with its prefix. Scripts write the theme's cookie, which has none.
fn full_name(name: &str, secure: bool) -> Cow<'_, str> {
    if secure && name != THEME {
        format!("__Host-{name}").into()
    } else {
        name.into()
    }
}

/// The value of a cookie in a request; `None` if it is absent or empty.
#[must_use]
pub fn read<'a>(headers: &'a HeaderMap, name: &str, secure: bool) -> Option<&'a str> {
    let name = full_name(name, secure);
    let lines = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|line| line.to_str().ok());
    let pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(key, _)| **key == *name)
        .map(|(_, value)| value)
        .find(|value| !value.is_empty())
}

/// The session cookie, which lasts until the browser closes.
#[must_use]
pub fn session(token: &str, secure: bool) -> HeaderValue {
    write(SESSION, token, None, secure)
}

/// The cookie of a flash: the error code and, after a point, the e-mail address in base64. Anything
/// that is not an address is dropped: it may be a password in the wrong field.
#[must_use]
pub fn flash(flash: &Flash, secure: bool) -> HeaderValue {
    let mut value = flash.refused.map_or("", Code::as_str).to_owned();
    if let Some(email) = flash.email.as_deref().filter(|email| is_email(email)) {
        value.push('.');
        URL_SAFE_NO_PAD.encode_string(email, &mut value);
    }
    write(FLASH, &value, Some(FLASH_SECONDS), secure)
}

/// The flash in a request.
#[must_use]
pub fn read_flash(headers: &HeaderMap, secure: bool) -> Option<Flash> {
    let value = read(headers, FLASH, secure)?;
    let (code, email) = value.split_once('.').unwrap_or((value, ""));
    let email = URL_SAFE_NO_PAD
        .decode(email)
        .ok()
        .and_then(|email| String::from_utf8(email).ok());
    Some(Flash {
        refused: Code::ALL.iter().copied().find(|known| known.as_str() == code),
        email: email.filter(|email| is_email(email)),
    })
}

/// The cookie of the theme, which scripts can read and write.
#[must_use]
pub fn write_theme(theme: &str, secure: bool) -> HeaderValue {
    const YEAR: u32 = 365 * 24 * 3600;
    let cookie = write(THEME, theme, Some(YEAR), secure);
    let text = cookie.to_str().unwrap_or_default().replace("; HttpOnly", "");
    HeaderValue::from_str(&text).unwrap_or(cookie)
}

/// A cookie that lasts for `seconds`, or until the browser closes if `None`; 0 deletes it.
///
/// A value that could break out of the header is replaced by an empty one.
#[must_use]
pub fn write(name: &str, value: &str, seconds: Option<u32>, secure: bool) -> HeaderValue {
    let safe = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.~+/=".contains(&b));
    let value = if safe { value } else { "" };
    let age = seconds
        .map(|seconds| format!("; Max-Age={seconds}"))
        .unwrap_or_default();
    let name = full_name(name, secure);
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{age}{secure}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; auditstream_session=x=y"));
        headers.append(COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(read(&headers, SESSION, false), Some("x=y"));
        assert_eq!(read(&headers, "b", false), Some("2"));
        assert_eq!(read(&headers, "c", false), None);
    }

    #[test]
    fn over_tls_only_the_prefixed_name_is_read() {
        let mut headers = HeaderMap::new();
        headers.append(
            COOKIE,
            HeaderValue::from_static("auditstream_session=theirs; theme=dark"),
        );
        assert_eq!(read(&headers, SESSION, true), None);
        assert_eq!(read(&headers, THEME, true), Some("dark"));
        headers.append(COOKIE, HeaderValue::from_static("__Host-auditstream_session=ours"));
        assert_eq!(read(&headers, SESSION, true), Some("ours"));
        assert_eq!(read(&headers, SESSION, false), Some("theirs"));
    }

    #[test]
    fn over_tls_a_session_cookie_is_bound_to_this_host() {
        assert_eq!(
            session("abc", true),
            "__Host-auditstream_session=abc; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            session("abc", false),
            "auditstream_session=abc; Path=/; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            write_theme("dark", true),
            "theme=dark; Path=/; SameSite=Lax; Max-Age=31536000; Secure"
        );
    }

    #[test]
    fn a_flash_survives_the_round_trip_except_for_an_invalid_email() {
        for (email, is_kept) in [
            (None, true),
            (Some("ann@example.com"), true),
            (Some("\"x;Path=/\"@example.com"), true),
            (Some("correct horse battery staple"), false),
            (Some("pass word@example.com"), false),
        ] {
            let mut sent = Flash {
                refused: Some(Code::WrongCredentials),
                email: email.map(str::to_owned),
            };
            let cookie = flash(&sent, false);
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_str(&pair).unwrap());
            sent.email = sent.email.filter(|_| is_kept);
            assert_eq!(read_flash(&headers, false), Some(sent));
        }
    }

    #[test]
    fn a_value_cannot_break_out_of_its_cookie() {
        assert_eq!(
            write(FLASH, "x; Path=/evil", Some(30), true),
            "__Host-auditstream_flash=; Path=/; HttpOnly; SameSite=Lax; Max-Age=30; Secure"
        );
    }
}
