//! Security headers on every response.

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

use super::origins::host_of;

const HEADERS: [(HeaderName, &str); 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // Plain forms are recognised by their referrer: this site needs it, other sites do not get it.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // The console writes to the clipboard and needs nothing else.
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(), \
         fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
         publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()",
    ),
];
const NON_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const HSTS_ONE_YEAR: &str = "max-age=31536000";

/// The policy of a page: it loads the server's own files, and runs only scripts with its nonce.
#[must_use]
pub fn page_policy(nonce: &str) -> Option<HeaderValue> {
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; font-src 'self'; frame-src 'none'; worker-src 'none'; \
         frame-ancestors 'none'; base-uri 'none'; object-src 'none'; form-action 'self'"
    );
    HeaderValue::try_from(policy).ok()
}

/// Adds the security headers to every response. A page has already set its own policy.
pub async fn add(State(is_https): State<bool>, request: Request, next: Next) -> Response {
    let sends_hsts = is_https && !is_localhost(host_of(request.headers(), request.uri()));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(NON_PAGE_POLICY));
    if sends_hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS_ONE_YEAR));
    }
    response
}

/// Browsers apply HSTS to every port of a host: on `localhost` it would block unrelated servers.
fn is_localhost(host: Option<&str>) -> bool {
    host.is_some_and(|host| {
        host.split(':')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("localhost"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_recognised_with_and_without_its_port() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:3000", true),
            ("localhost.example.com", false),
        ] {
            assert_eq!(is_localhost(Some(host)), expected, "{host}");
        }
    }
}
