//! What guards browsers: headers on every answer, and no changes on behalf of other sites.
//!
//! Session cookies are `SameSite=Lax`, so that other sites' POSTs come without them; this check holds where a browser
//! is old, and against sibling subdomains, which count as the same site.

use auditstream_model::Code;
use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderValue, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::problem::Refusal;
use crate::state::AppState;

const POLICY: &str = "frame-ancestors 'none'; base-uri 'self'; object-src 'none'; form-action 'self'";

/// Adds the headers that every answer has.
pub async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Refuses what another site asks a browser to change. The API takes no cookies and needs no such check.
pub async fn refuse_other_sites(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/v1/");
    if request.method().is_safe() || is_api || is_same_site(request.headers(), request.uri(), &state.public_url) {
        return next.run(request).await;
    }
    let sentence = "This request came from another site. Open the console at its own address and try again; \
                    behind a proxy, AUDITSTREAM_PUBLIC_URL must be the address that browsers see.";
    Refusal::new(Code::CrossSite, sentence).into_response()
}

/// Programs that are no browsers send neither header, and have no cookies that somebody else could use.
fn is_same_site(headers: &HeaderMap, uri: &Uri, public_url: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .or_else(|| uri.authority().map(|host| host.as_str()));
    origin.eq_ignore_ascii_case(public_url)
        || origin
            .split_once("://")
            .is_some_and(|(_, authority)| host.is_some_and(|host| host.eq_ignore_ascii_case(authority)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            (
                name.parse::<axum::http::HeaderName>().unwrap(),
                HeaderValue::from_static(value),
            )
        });
        is_same_site(
            &headers.collect(),
            &Uri::from_static("/sign-out"),
            "https://audit.example.com",
        )
    }

    #[test]
    fn only_the_site_itself_may_change_anything() {
        for (headers, expected) in [
            (vec![], true),
            (vec![("sec-fetch-site", "same-origin")], true),
            (
                vec![("sec-fetch-site", "same-site"), ("origin", "https://audit.example.com")],
                false,
            ),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("origin", "https://audit.example.com")], true),
            (
                vec![("origin", "https://evil.example.com"), ("host", "127.0.0.1:3000")],
                false,
            ),
            (
                vec![("origin", "http://localhost:3000"), ("host", "localhost:3000")],
                true,
            ),
            (vec![("origin", "null")], false),
        ] {
            assert_eq!(same(&headers), expected, "{headers:?}");
        }
    }
}
