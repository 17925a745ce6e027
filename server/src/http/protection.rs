//! What guards browsers: headers on every answer, and no changes on behalf of other sites.
//!
//! Session cookies are `SameSite=Lax`, so that other sites' POSTs come without them; the check here holds where a browser
//! does not know that, and against sibling subdomains, which count as the same site.

use auditstream_model::Code;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::origins::Origins;
use crate::http::problem::Refusal;
use crate::state::AppState;

/// Of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // Plain forms are known by where they come from: other sites learn nothing, this one all.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The console writes to the clipboard and asks for nothing else.
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(), \
         fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
         publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
    ),
];
/// What is no page loads nothing and is shown in nothing.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
const ONE_YEAR: &str = "max-age=31536000";

/// What a page may load and do: its own files, and the scripts in it that have its nonce.
#[must_use]
pub fn page_policy(nonce: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; font-src 'self'; frame-src 'none'; worker-src 'none'; \
         frame-ancestors 'none'; base-uri 'none'; object-src 'none'; form-action 'self'"
    );
    HeaderValue::try_from(policy).ok()
}

/// Adds the headers that every answer has. A page has brought its own policy, with its nonce.
pub async fn security_headers(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let lasting = state.secure() && !is_localhost(host(request.headers(), request.uri()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(NO_PAGE));
    if lasting {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(ONE_YEAR));
    }
    response
}

/// Browsers remember HSTS by name for all ports: on `localhost` it would lock out whatever else its person runs there.
fn is_localhost(host: Option<&str>) -> bool {
    host.is_some_and(|host| {
        host.split(':')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("localhost"))
    })
}

/// Whom a request was sent to.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    match headers.get(HOST) {
        // What is no text is no host that is known.
        Some(host) => Some(host.to_str().unwrap_or_default()),
        None => uri.authority().map(|host| host.as_str()),
    }
}

/// Refuses what another site asks a browser to change, whatever answers at the address, and what was sent to a name that is
/// not this server's. The API takes no cookies, only tokens that other sites do not have, and needs neither check.
pub async fn refuse_other_sites(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/v1/") || matches!(path, "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let host = host(request.headers(), request.uri());
    let sentence = if !state.origins.know_host(host) {
        "This server is only reached from its own host, under that host's names. Behind a proxy, set \
         AUDITSTREAM_PUBLIC_URL to the address that browsers see."
    } else if request.method().is_safe() || is_own(request.headers(), host, &state.origins) {
        return next.run(request).await;
    } else {
        "This request came from another site, or does not say from where. Open the console at its own address and try again; \
         behind a proxy, AUDITSTREAM_PUBLIC_URL must be the address that browsers see. Programs use the API, with a token."
    };
    Refusal::new(Code::CrossSite, sentence).into_response()
}

/// Whether a page of this server asks, or a program that holds nobody's cookies.
///
/// All browsers that the console is for send both headers with a POST. A request with cookies and neither is of a browser
/// too old to tell whose page sent it, and is refused; without cookies there is nothing of somebody's to use.
fn is_own(headers: &HeaderMap, host: Option<&str>, origins: &Origins) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let mut from = headers.get_all(ORIGIN).iter();
    if !headers.contains_key("sec-fetch-site") && !headers.contains_key(ORIGIN) {
        return !headers.contains_key(COOKIE);
    }
    sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
        && from.all(|origin| origin.to_str().is_ok_and(|origin| origins.permit(origin, host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(sent: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let origins = Origins::named("https://audit.example.com");
        is_own(&headers, Some("audit.example.com"), &origins)
    }

    #[test]
    fn only_the_site_itself_may_change_anything() {
        let here = ("origin", "https://audit.example.com");
        let cookie = ("cookie", "__Host-auditstream_session=x");
        for (headers, expected) in [
            (vec![], true),
            (vec![cookie], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "same-origin"), here, cookie], true),
            (vec![("sec-fetch-site", "none"), cookie], true),
            (vec![("sec-fetch-site", "same-site"), here], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (
                vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
                false,
            ),
            (vec![("sec-fetch-site", "")], false),
            (vec![here, cookie], true),
            (vec![here, ("origin", "https://evil.example.com")], false),
            (
                vec![
                    ("sec-fetch-site", "same-origin"),
                    ("origin", "https://evil.example.com"),
                ],
                false,
            ),
            (vec![("origin", "https://evil.example.com")], false),
            (vec![("origin", "null")], false),
        ] {
            assert_eq!(own(&headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn localhost_is_known_with_and_without_its_port() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:3000", true),
            ("localhost.example.com", false),
        ] {
            assert_eq!(is_localhost(Some(host)), expected, "{host}");
        }
    }
}
