//! Refuses changes on behalf of other sites (cross-site request forgery) and rebound host names.
//!
//! Session cookies are `SameSite=Lax`, so other sites' POSTs arrive without them. This check also
//! holds in browsers that ignore the attribute and against sibling subdomains, which count as the
//! same site.

use auditstream_model::Code;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderName, ORIGIN};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::origins::{Origins, host_of};
use super::problem::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses changes that another site asks a browser for, at any path, and requests sent to a
/// foreign host name. The API accepts no cookies, only tokens that other sites do not have: it
/// needs neither.
pub async fn refuse_cross_site(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with("/v1/") || matches!(path, "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    let host = host_of(request.headers(), request.uri());
    let message = if !origins.accept_host(host) {
        "This server is only available from its own host, under a loopback name. Behind a proxy, set \
         AUDITSTREAM_PUBLIC_URL to the address that browsers use."
    } else if request.method().is_safe() || is_same_origin(request.headers(), host, &origins) {
        return next.run(request).await;
    } else {
        "This request came from another site or does not name its origin. Open the console at its own address and try \
         again. Behind a proxy, AUDITSTREAM_PUBLIC_URL must be the address that browsers use. Programs use the API with a \
         token."
    };
    Refusal::new(Code::CrossSite, message).into_response()
}

/// Every browser that the console supports sends both headers with a POST. A request with cookies
/// but neither header comes from an older browser and is refused, because its origin is unknown.
fn is_same_origin(headers: &HeaderMap, host: Option<&str>, origins: &Origins) -> bool {
    if !headers.contains_key(SEC_FETCH_SITE) && !headers.contains_key(ORIGIN) {
        return !headers.contains_key(COOKIE);
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let mut from = headers.get_all(ORIGIN).iter();
    sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
        && from.all(|origin| origin.to_str().is_ok_and(|origin| origins.permit(origin, host)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn is_permitted(sent: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let origins = Origins::of_public_url("https://audit.example.com");
        is_same_origin(&headers, Some("audit.example.com"), &origins)
    }

    #[test]
    fn only_pages_of_this_server_may_change_anything() {
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
            assert_eq!(is_permitted(&headers), expected, "{headers:?}");
        }
    }
}
