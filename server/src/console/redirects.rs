//! Redirects that stay on this server.

use auditstream_app::paths;
use axum::http::header::REFERER;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};

pub(super) fn to_sign_in(requested: &Uri) -> Response {
    let path = requested.path_and_query().map_or(paths::SETTINGS, |path| path.as_str());
    Redirect::to(&paths::sign_in_to(path)).into_response()
}

/// Returns `path` if it is a path of this server that no browser takes for another host.
pub(super) fn local(path: &str) -> Option<&str> {
    let is_local = path.starts_with('/')
        && !path[1..].starts_with(['/', '\\'])
        && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    is_local.then_some(path)
}

pub(super) fn referring_page(headers: &HeaderMap) -> Option<String> {
    let uri: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let path = uri.path_and_query()?.as_str();
    local(path).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_local() {
        for (path, expected) in [
            ("/settings/audit-trail?tab=1", true),
            ("/", true),
            ("//evil.example.com", false),
            ("/\\evil.example.com", false),
            ("https://evil.example.com", false),
            ("settings", false),
            ("/a\r\nSet-Cookie: x=y", false),
            ("", false),
        ] {
            assert_eq!(local(path).is_some(), expected, "{path}");
        }
    }
}
