//! The files that pages load, embedded in the binary: scripts, WebAssembly, styles, icons.

use std::borrow::Cow;
use std::io::Read as _;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::http::etag;

/// Release builds contain WebAssembly in its compressed forms only: uncompressed, it would be the
/// largest part of the site, and browsers never request it so.
#[derive(RustEmbed)]
#[folder = "../target/site"]
#[cfg_attr(not(debug_assertions), exclude = "*.wasm")]
#[exclude = "*.d.ts*"]
struct Site;

/// The most bytes of a file after decompression.
const PLAIN_BYTES: u64 = 16 << 20;

/// Returns `true` if the binary contains the site, which plain `cargo build` does not build.
#[must_use]
pub fn is_embedded() -> bool {
    ["pkg/auditstream.wasm.gz", "pkg/auditstream.wasm"]
        .into_iter()
        .any(|name| Site::get(name).is_some())
}

/// Responds with the file at the request's path, or passes the request on if there is none.
pub async fn serve(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match file(request.uri().path(), request.headers()).filter(|_| is_read) {
        Some(file) => file,
        None => next.run(request).await,
    }
}

/// The response with the file at a path; `None` if no embedded file has this name.
#[must_use]
pub fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let name = path.strip_prefix('/')?;
    if name.is_empty() || name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
        return None;
    }
    let accepted = headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    Some(respond(name, Found::of(name, accepted)?, headers))
}

/// A file in the form in which a client gets it.
struct Found {
    data: Cow<'static, [u8]>,
    encoding: Option<&'static str>,
    etag: String,
}

impl Found {
    /// Finds the best of the accepted forms of a file; `None` if there is no file with this name.
    fn of(name: &str, accepted: &str) -> Option<Self> {
        let compressed = [("br", "br"), ("gzip", "gz")]
            .into_iter()
            .find_map(|(encoding, ending)| {
                let file = accepts(accepted, encoding).then(|| Site::get(&format!("{name}.{ending}")))??;
                Some(Self::stored(file, Some(encoding)))
            });
        compressed
            .or_else(|| Some(Self::stored(Site::get(name)?, None)))
            .or_else(|| Self::decompressed(&Site::get(&format!("{name}.gz"))?))
    }

    fn stored(file: EmbeddedFile, encoding: Option<&'static str>) -> Self {
        Self {
            etag: etag::of_digest(&file.metadata.sha256_hash()),
            data: file.data,
            encoding,
        }
    }

    fn decompressed(file: &EmbeddedFile) -> Option<Self> {
        let mut plain = Vec::new();
        let mut decoder = GzDecoder::new(&*file.data).take(PLAIN_BYTES);
        decoder.read_to_end(&mut plain).ok()?;
        Some(Self {
            data: plain.into(),
            encoding: None,
            etag: format!("{}-plain", etag::of_digest(&file.metadata.sha256_hash())),
        })
    }
}

fn accepts(accepted: &str, encoding: &str) -> bool {
    accepted.split(',').any(|part| {
        let (name, quality) = part.split_once(';').unwrap_or((part, ""));
        let refused = quality
            .trim()
            .strip_prefix("q=")
            .is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0));
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

fn respond(name: &str, file: Found, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", file.etag);
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let is_unchanged = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag);
    let mut response = if is_unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = content(file.data).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
        if let Some(encoding) = file.encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    };
    let headers = response.headers_mut();
    // Names do not change with releases, so browsers have to revalidate.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    response
}

/// The content of a file. That of an embedded file is not copied.
fn content(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(embedded) => Bytes::from_static(embedded),
        // Read from disk, as by debug builds, or decompressed.
        Cow::Owned(owned) => owned.into(),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "wasm" => "application/wasm",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_accepted_if_listed_with_a_quality_above_zero() {
        for (accepted, expected) in [
            ("gzip, br", true),
            ("br;q=1.0", true),
            ("br;q=0", false),
            ("gzip", false),
            ("", false),
            ("BR ; q=0.5", true),
        ] {
            assert_eq!(accepts(accepted, "br"), expected, "{accepted}");
        }
    }

    #[test]
    fn no_path_leads_out_of_the_site() {
        for path in [
            "/",
            "/../Cargo.toml",
            "/../../server/Cargo.toml",
            "//etc/passwd",
            "/pkg/../../../Cargo.toml",
            "/%2e%2e/Cargo.toml",
        ] {
            assert!(file(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn an_embedded_file_is_sent_without_a_copy() {
        const FILE: &[u8] = b"embedded";
        assert_eq!(content(Cow::Borrowed(FILE)).as_ptr(), FILE.as_ptr());
    }

    #[test]
    fn webassembly_has_its_content_type() {
        assert_eq!(content_type("pkg/auditstream.wasm"), "application/wasm");
    }
}
