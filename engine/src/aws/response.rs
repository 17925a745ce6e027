//! Responses as they came: the parts of S3's, and the signs that one is not S3's.

use aws_sdk_s3::config::http::HttpResponse;

/// The sender of a response that is not one of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// A web page or another document.
    Document {
        content_type: String,
        /// The title of the page, or the beginning of the text.
        title: String,
    },
    /// A redirect to this address.
    Redirect(String),
    /// A proxy that requires to sign in.
    Proxy,
    /// A server that expects TLS, which received plain HTTP.
    TlsExpected,
}

impl Foreign {
    /// A web page whose text is not known.
    pub(super) fn page() -> Self {
        Self::Document {
            content_type: "a web page".to_owned(),
            title: String::new(),
        }
    }
}

/// Returns why a response cannot be one of S3; `None` if it can. `error_code` is the one that was
/// found in it; empty for none.
pub(super) fn foreign(response: &HttpResponse, error_code: &str) -> Option<Foreign> {
    let status = response.status().as_u16();
    let text = beginning(response);
    if status == 400 && expects_tls(&text) {
        return Some(Foreign::TlsExpected);
    }
    if !error_code.is_empty() || (status != 407 && is_amazon(response)) {
        return None;
    }
    match status {
        407 => Some(Foreign::Proxy),
        301..=303 | 307 | 308 => response
            .headers()
            .get("location")
            .map(|to| Foreign::Redirect(to.to_owned())),
        // Load balancers and proxies in front of a store send their pages while it is away.
        500 | 502..=504 => None,
        _ => document(response, &text),
    }
}

/// Returns the document in a response, unless it is empty or XML.
fn document(response: &HttpResponse, text: &str) -> Option<Foreign> {
    let content_type = response.headers().get("content-type").unwrap_or_default();
    let is_page = content_type.starts_with("text/html");
    let is_text = !text.is_empty() && (!text.starts_with('<') || is_html(text));
    (is_page || is_text).then(|| Foreign::Document {
        content_type: content_type.to_owned(),
        title: title(text),
    })
}

/// Returns the first characters of a body; empty if it is not text.
fn beginning(response: &HttpResponse) -> String {
    const BYTES: usize = 4_096;
    let bytes = response.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(bytes.get(..BYTES).unwrap_or(bytes));
    text.trim_start_matches('\u{feff}').trim().to_owned()
}

fn is_amazon(response: &HttpResponse) -> bool {
    response.headers().iter().any(|(name, _)| name.starts_with("x-amz"))
}

fn expects_tls(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "to an https server",
        "sent to https port",
        "plain http to an ssl-enabled",
        "host and port requires tls",
    ]
    .iter()
    .any(|phrase| text.contains(phrase))
}

fn is_html(text: &str) -> bool {
    let start = text.get(..14).unwrap_or(text).to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn title(text: &str) -> String {
    const CHARS: usize = 80;
    let title = between(text, "<title>", "</title>").or_else(|| between(text, "<TITLE>", "</TITLE>"));
    let title = match title {
        Some(title) => title,
        None if text.starts_with('<') => "",
        None => text,
    };
    let plain = title.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(CHARS).collect::<String>().trim().to_owned()
}

/// Returns the text of an element of an error response.
pub(super) fn element<'a>(response: &'a HttpResponse, name: &str) -> Option<&'a str> {
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    between(body, &format!("<{name}>"), &format!("</{name}>"))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    let (inner, _) = rest.split_once(end)?;
    Some(inner)
}

pub(super) fn request_id(response: &HttpResponse) -> Option<Box<str>> {
    let headers = response.headers();
    headers
        .get("x-amz-request-id")
        .or_else(|| headers.get("x-amzn-requestid"))
        .map(Into::into)
}

pub(super) fn bucket_region(response: &HttpResponse) -> Option<Box<str>> {
    let region = match response.headers().get("x-amz-bucket-region") {
        Some(region) => region,
        None => element(response, "Region")?,
    };
    auditstream_model::is_region(region).then(|| region.into())
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> HttpResponse {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        response
    }

    fn is_foreign(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> bool {
        foreign(&response(status, headers, body), "").is_some()
    }

    #[test]
    fn pages_redirects_and_texts_are_not_of_s3() {
        const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
        assert!(is_foreign(403, &[HTML], "<html><title>Blocked</title>"));
        assert!(is_foreign(404, &[], "404 page not found"));
        assert!(is_foreign(405, &[], r#"{"message":"no"}"#));
        assert!(is_foreign(302, &[("location", "https://sso.example.com/")], ""));
        assert!(is_foreign(407, &[], ""));
        assert!(is_foreign(
            501,
            &[HTML],
            "<!DOCTYPE HTML><title>Unsupported method</title>"
        ));
    }

    #[test]
    fn responses_that_a_store_can_give_are_of_s3() {
        assert!(!is_foreign(403, &[], "<?xml version=\"1.0\"?><Error/>"));
        assert!(!is_foreign(403, &[], ""), "the response to a HEAD request");
        assert!(!is_foreign(
            301,
            &[("x-amz-bucket-region", "eu-west-1"), ("location", "https://b")],
            ""
        ));
        assert!(
            !is_foreign(502, &[("content-type", "text/html")], "<html>"),
            "of a load balancer"
        );
        assert!(!is_foreign(404, &[("x-amz-request-id", "1")], "not found"));
    }

    #[test]
    fn a_region_of_a_store_may_have_capitals_and_underscores() {
        for (name, valid) in [
            ("NL", true),
            ("us_standard", true),
            ("RegionOne", true),
            ("a.b", false),
            ("", false),
        ] {
            let body = format!("<Error><Region>{name}</Region></Error>");
            let response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
            assert_eq!(bucket_region(&response).is_some(), valid, "{name}");
        }
    }
}
