//! A failed call to AWS, in terms that a person can act on.

use std::error::Error as _;

use auditstream_model::{FailureCode, TestError};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use super::error_table::explain;
use super::hint::{hint, unreachable};
use super::meaning::{NOT_S3, TLS_MISMATCH};
use super::response::{Foreign, bucket_region, element, foreign, request_id};
use super::transfer::TransferError;
use crate::egress_policy::{AddressNotAllowed, address_not_allowed};

#[derive(Clone, Debug)]
pub(crate) struct AwsFailure {
    pub(crate) code: FailureCode,
    pub(crate) responded: bool,
    /// Whether the request may have taken effect nevertheless.
    pub(crate) in_doubt: bool,
    /// Whether the connection broke while the request was sent or its response awaited.
    pub(crate) connection_lost: bool,
    /// Whether the line was too slow for the request.
    pub(crate) too_slow: bool,
    /// Whether a retry soon can succeed.
    pub(crate) transient: bool,
    /// Whether a permission on the KMS key is missing, rather than one on the bucket.
    pub(crate) kms_denied: bool,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) explanation: &'static str,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) region: Option<Box<str>>,
}

impl AwsFailure {
    /// A refusal, by AWS or before anything is sent, that a retry does not cure.
    pub(crate) fn refused(
        code: FailureCode,
        message: impl Into<String>,
        hint: impl Into<String>,
        explanation: &'static str,
    ) -> Self {
        Self {
            code,
            responded: true,
            in_doubt: false,
            connection_lost: false,
            too_slow: false,
            transient: false,
            kms_denied: false,
            message: message.into(),
            hint: hint.into(),
            explanation,
            request_id: None,
            region: None,
        }
    }
}

impl From<&AwsFailure> for TestError {
    fn from(failure: &AwsFailure) -> Self {
        Self {
            hint: failure.hint.clone(),
            explanation: failure.explanation.to_owned(),
            message: failure.message.clone(),
        }
    }
}

pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>) -> AwsFailure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(refusal) = address_not_allowed(error) {
        return endpoint_refused(refusal);
    }
    match error.raw_response() {
        Some(response) if !is_incomplete(error, response) => responded(error, response),
        _ => not_responded(error),
    }
}

fn responded<E>(error: &SdkError<E, HttpResponse>, response: &HttpResponse) -> AwsFailure
where
    E: ProvideErrorMetadata,
{
    let status = response.status().as_u16();
    let error_code = error.code().unwrap_or_default();
    let detail = error.message().unwrap_or_default();
    let foreign = foreign(response, error_code);
    if foreign.is_some() || matches!(error, SdkError::ResponseError(_)) {
        return AwsFailure {
            in_doubt: !(300..500).contains(&status),
            ..foreign_response(status, foreign)
        };
    }
    let message = match (detail, error_code) {
        ("", "") => format!("HTTP {status} without an explanation"),
        ("", code) => format!("{code} (HTTP {status})"),
        (detail, code) => format!("{code}: {detail} (HTTP {status})"),
    };
    let header = element(response, "Header").unwrap_or_default();
    let meaning = explain(status, error_code, detail, header);
    let kms_denied = meaning.code == FailureCode::AccessDenied && detail.contains("kms:");
    let region = bucket_region(response);
    AwsFailure {
        code: meaning.code,
        responded: true,
        in_doubt: !(300..500).contains(&status) && !meaning.is_refusal(),
        connection_lost: false,
        too_slow: false,
        transient: meaning.transient,
        kms_denied,
        hint: hint(&meaning, response, region.as_deref(), kms_denied, header),
        message: printable(&message),
        explanation: meaning.explanation,
        request_id: request_id(response),
        region,
    }
}

fn not_responded<E>(error: &SdkError<E, HttpResponse>) -> AwsFailure
where
    E: std::error::Error + 'static,
{
    let transfer = TransferError::find(error);
    if let Some(status) = transfer.and_then(TransferError::page) {
        return AwsFailure {
            in_doubt: true,
            ..foreign_response(status, Some(Foreign::page()))
        };
    }
    let root = error
        .source()
        .map_or_else(|| DisplayErrorContext(error).to_string(), innermost);
    let message = match transfer.filter(|transfer| transfer.is_timeout()) {
        Some(timeout) => format!("The request timed out: {timeout}."),
        None => root,
    };
    let meaning = unreachable(&message, transfer);
    AwsFailure {
        code: meaning.code,
        responded: false,
        in_doubt: !is_unsent(error) && !transfer.is_some_and(TransferError::is_unsent),
        connection_lost: is_connection_lost(error),
        too_slow: transfer.is_some_and(TransferError::is_too_slow),
        transient: meaning.transient,
        kms_denied: false,
        hint: meaning.hint.to_owned(),
        message: printable(&message),
        explanation: meaning.explanation,
        request_id: None,
        region: None,
    }
}

/// Returns the failure of a call to which something else than S3 responded. `found` is `None` if
/// the response says nothing about its sender.
fn foreign_response(status: u16, found: Option<Foreign>) -> AwsFailure {
    let (meaning, message, hint) = match found {
        None => (NOT_S3, format!("HTTP {status}"), None),
        Some(Foreign::Document { content_type, title }) => {
            let kind = if content_type.is_empty() {
                "a text"
            } else {
                &content_type
            };
            let title = if title.is_empty() {
                String::new()
            } else {
                format!(", “{title}”")
            };
            (NOT_S3, format!("HTTP {status}, {kind}{title}"), None)
        }
        Some(Foreign::Redirect(to)) => (
            NOT_S3,
            format!("HTTP {status}, a redirect to {to}"),
            Some(
                "Set the connector's endpoint to the address of the store itself: requests with a signature are not \
                 redirected. A redirect to a sign-in page comes from a proxy; let this server through it.",
            ),
        ),
        Some(Foreign::Proxy) => (
            NOT_S3,
            format!("HTTP {status}, of a proxy that requires to sign in"),
            Some("Add the proxy's user and password to HTTPS_PROXY and HTTP_PROXY, or list the store in NO_PROXY."),
        ),
        Some(Foreign::TlsExpected) => (
            TLS_MISMATCH,
            format!("HTTP {status}, of a port for HTTPS"),
            Some(USE_HTTPS),
        ),
    };
    let failure = AwsFailure::refused(
        meaning.code,
        format!("This is not an answer of S3: {message}."),
        hint.unwrap_or(meaning.hint),
        meaning.explanation,
    );
    AwsFailure {
        responded: false,
        transient: meaning.transient,
        ..failure
    }
}

const USE_HTTPS: &str = "The store expects TLS at this port: begin the connector's endpoint with https://.";

fn endpoint_refused(refusal: AddressNotAllowed) -> AwsFailure {
    AwsFailure {
        responded: false,
        ..AwsFailure::refused(
            FailureCode::EndpointRefused,
            refusal.to_string(),
            "Check the connector's endpoint, and the addresses that this server's DNS has for its name.",
            "Addresses that are reserved for hosts, such as the metadata service of a cloud, cannot be reached \
             through a connector. Nothing was sent.",
        )
    }
}

fn printable(text: &str) -> String {
    const CHARS: usize = 2_000;
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(CHARS).collect()
}

/// Returns the message of the root cause: the errors above it only state that a call failed.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// Returns whether the connection broke before the body of the response was read.
fn is_incomplete<E>(error: &SdkError<E, HttpResponse>, response: &HttpResponse) -> bool {
    matches!(error, SdkError::ResponseError(_)) && response.body().bytes().is_none()
}

/// Returns whether the connection broke: an I/O error, or a response that ends before it is
/// complete, which the SDK's HTTP client reports as another transient error.
fn is_connection_lost<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.as_other().is_some(),
        SdkError::ResponseError(_) => true,
        _ => false,
    }
}

fn is_unsent<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_user(),
        _ => false,
    }
}
