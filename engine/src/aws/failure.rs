//! A failed call to AWS, in terms that a person can act on.

use std::error::Error as _;

use auditstream_model::{EpochMillis, FailureCode, TestError};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use jiff::SignedDuration;
use jiff::fmt::rfc2822::DateTimeParser;

use super::error_table::{Meaning, explain};
use crate::database::now;
use crate::egress_policy::{AddressNotAllowed, address_not_allowed};

#[derive(Clone, Debug)]
pub(crate) struct AwsFailure {
    pub(crate) code: FailureCode,
    pub(crate) responded: bool,
    /// Whether the request may have taken effect nevertheless.
    pub(crate) in_doubt: bool,
    /// Whether the connection broke while the request was sent or its response awaited.
    pub(crate) connection_lost: bool,
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
            transient: false,
            kms_denied: false,
            message: message.into(),
            hint: hint.into(),
            explanation,
            request_id: None,
            region: None,
        }
    }

    pub(super) fn in_region(self, region: Box<str>, bucket: &str) -> Self {
        Self {
            message: format!("{} The bucket {bucket} is in {region}.", self.message),
            hint: region_hint(&region),
            region: Some(region),
            ..self
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
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    let error_code = error.code().unwrap_or_default();
    let detail = error.message().unwrap_or_default();
    let message = match status {
        Some(status) if !detail.is_empty() => format!("{error_code}: {detail} (HTTP {status})"),
        Some(status) if !error_code.is_empty() => format!("{error_code} (HTTP {status})"),
        Some(status) => format!("HTTP {status} without an explanation"),
        None => error
            .source()
            .map_or_else(|| DisplayErrorContext(error).to_string(), innermost),
    };
    // STS reports a skewed clock as an invalid signature.
    let skewed = detail.contains("Signature expired") || detail.contains("Signature not yet current");
    let meaning = explain(status, if skewed { "RequestTimeTooSkewed" } else { error_code });
    let kms_denied = meaning.code == FailureCode::AccessDenied && detail.contains("kms:");
    let region = response.and_then(bucket_region);
    AwsFailure {
        code: meaning.code,
        responded: status.is_some(),
        in_doubt: status.is_none_or(|status| status >= 500 || status == 200) && !is_unsent(error),
        connection_lost: is_connection_lost(error),
        transient: meaning.transient,
        kms_denied,
        hint: hint(&meaning, response, region.as_deref(), kms_denied, &message),
        message: printable(&message),
        explanation: meaning.explanation,
        request_id: response.and_then(request_id),
        region,
    }
}

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

/// Makes the hint of the table specific, where the response allows it.
fn hint(
    meaning: &Meaning,
    response: Option<&HttpResponse>,
    region: Option<&str>,
    kms_denied: bool,
    message: &str,
) -> String {
    let specific = match (meaning.code, region, response) {
        (FailureCode::Region, Some(region), _) => Some(region_hint(region)),
        (FailureCode::ClockSkew, _, Some(response)) => response
            .headers()
            .get("date")
            .and_then(|date| describe_skew(date, now()))
            .map(|skew| format!("{skew} {}", meaning.hint)),
        (FailureCode::AccessDenied, ..) if kms_denied => Some(
            "Allow kms:GenerateDataKey and kms:Decrypt on the KMS key, in the identity's policy and in the key's \
             policy."
                .to_owned(),
        ),
        (FailureCode::Network, _, None) => unreachable_hint(message).map(str::to_owned),
        _ => None,
    };
    specific.unwrap_or_else(|| meaning.hint.to_owned())
}

fn region_hint(region: &str) -> String {
    format!("Set the connector's region to {region}, where the bucket is.")
}

fn unreachable_hint(message: &str) -> Option<&'static str> {
    let has_any = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    if has_any(&["dns error", "failed to lookup", "Name or service not known"]) {
        Some("Check the name in the connector's endpoint, its region, and this server's DNS.")
    } else if has_any(&["Connection refused"]) {
        Some(
            "Nothing listens at the connector's endpoint: check its address and port, and whether the store is \
             running.",
        )
    } else if has_any(&["certificate", "UnknownIssuer"]) {
        Some(
            "This server does not trust the store's certificate: check the endpoint's name, or install the certificate \
             authority on this server.",
        )
    } else if has_any(&["timeout", "timed out"]) {
        Some("The store did not respond in time: check firewalls and proxies between this server and the store.")
    } else {
        None
    }
}

fn printable(text: &str) -> String {
    const CHARS: usize = 2_000;
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(CHARS).collect()
}

fn request_id(response: &HttpResponse) -> Option<Box<str>> {
    let headers = response.headers();
    headers
        .get("x-amz-request-id")
        .or_else(|| headers.get("x-amzn-requestid"))
        .map(Into::into)
}

pub(super) fn bucket_region(response: &HttpResponse) -> Option<Box<str>> {
    if let Some(region) = response.headers().get("x-amz-bucket-region") {
        return Some(region.into());
    }
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    let (_, rest) = body.split_once("<Region>")?;
    let (region, _) = rest.split_once("</Region>")?;
    let is_region = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_region.then(|| region.into())
}

fn describe_skew(date: &str, now: EpochMillis) -> Option<String> {
    let theirs = DateTimeParser::new().parse_timestamp(date).ok()?.as_millisecond();
    let difference = SignedDuration::from_secs((now - theirs).abs() / 1000);
    let direction = if now >= theirs { "ahead of" } else { "behind" };
    Some(format!(
        "This server's clock is {difference:#} {direction} that of AWS."
    ))
}

/// Returns the message of the root cause: the errors above it only state that a call failed.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// Returns whether the connection broke: an I/O error, or a response that ends before it is
/// complete, which the SDK's HTTP client reports as another transient error.
fn is_connection_lost<E>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.as_other().is_some(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_for_a_skewed_clock_states_the_difference() {
        let date = "Tue, 24 Nov 2026 08:00:00 GMT";
        let theirs = 1_795_507_200_000;
        assert_eq!(
            describe_skew(date, theirs + 1_200_000).as_deref(),
            Some("This server's clock is 20m ahead of that of AWS.")
        );
        assert_eq!(
            describe_skew(date, theirs - 3_725_000).as_deref(),
            Some("This server's clock is 1h 2m 5s behind that of AWS.")
        );
        assert_eq!(describe_skew("yesterday", theirs), None);
    }
}
