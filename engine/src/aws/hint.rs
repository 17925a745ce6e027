//! Hints that are more specific than those of the table, where the response or the error allows it.

use auditstream_model::{EpochMillis, FailureCode};
use aws_sdk_s3::config::http::HttpResponse;
use jiff::SignedDuration;
use jiff::fmt::rfc2822::DateTimeParser;

use super::meaning::{Meaning, TLS_MISMATCH, UNREACHABLE};
use super::transfer::TransferError;
use crate::database::now;

/// Makes the hint of the table specific. `header` is the one that the response names; empty for
/// none.
pub(super) fn hint(
    meaning: &Meaning,
    response: &HttpResponse,
    region: Option<&str>,
    kms_denied: bool,
    header: &str,
) -> String {
    let specific = match (meaning.code, region) {
        (FailureCode::Region, Some(region)) => Some(region_hint(region)),
        (FailureCode::ClockSkew, _) => response
            .headers()
            .get("date")
            .and_then(|date| describe_skew(date, now()))
            .map(|skew| format!("{skew} {}", meaning.hint)),
        (FailureCode::AccessDenied, _) if kms_denied => Some(
            "Allow kms:GenerateDataKey and kms:Decrypt on the KMS key, in the identity's policy and in the key's \
             policy."
                .to_owned(),
        ),
        (FailureCode::NotImplemented, _) if !header.is_empty() => Some(unsupported(header)),
        _ => None,
    };
    specific.unwrap_or_else(|| meaning.hint.to_owned())
}

fn unsupported(header: &str) -> String {
    let name = header.to_ascii_lowercase();
    let option = match name.as_str() {
        "x-amz-expected-bucket-owner" => "Clear the expected bucket owner of the destination.",
        "x-amz-storage-class" => "Set the destination's storage class to the default of the store.",
        name if name.starts_with("x-amz-server-side-encryption") => {
            "Set the destination's encryption to the default of the bucket."
        }
        _ => "Use another store, or a newer version of this one.",
    };
    format!("The store does not support the header {header}. {option}")
}

pub(super) fn region_hint(region: &str) -> String {
    format!("Set the connector's region to {region}, where the bucket is.")
}

/// Returns whether DNS does not know the name of the endpoint.
pub(super) fn is_unresolved(message: &str) -> bool {
    [
        "dns error",
        "failed to lookup",
        "Name or service not known",
        "No address associated",
    ]
    .iter()
    .any(|phrase| message.contains(phrase))
}

/// Explains why there was no response.
pub(super) fn unreachable(message: &str, transfer: Option<&TransferError>) -> Meaning {
    let has_any = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let hint = if transfer.is_some_and(TransferError::is_too_slow) {
        "The line between this server and the store is too slow or interrupted. It is tried again with fewer uploads \
         at once. If it persists, check the line, or compress the destination's objects."
    } else if is_unresolved(message) {
        "Check the name in the connector's endpoint, its region, and this server's DNS."
    } else if has_any(&["Connection refused"]) {
        "Nothing listens at the connector's endpoint: check its address and port, and whether the store is running."
    } else if has_any(&["InvalidContentType", "wrong version number"]) {
        return Meaning {
            hint: "The store does not speak TLS at this port: begin the connector's endpoint with http://, or use the \
                   store's port for HTTPS.",
            ..TLS_MISMATCH
        };
    } else if has_any(&[
        "invalid HTTP version",
        "invalid HTTP status",
        "invalid HTTP header",
        "http2 error",
    ]) {
        return Meaning {
            hint: "The connector's endpoint is the port of another protocol. If it expects TLS, begin the endpoint \
                   with https://.",
            ..TLS_MISMATCH
        };
    } else if has_any(&["certificate", "UnknownIssuer"]) {
        "This server does not trust the store's certificate: check the endpoint's name, or install the certificate \
         authority on this server."
    } else if has_any(&["timeout", "timed out"]) {
        "The store did not respond in time: check firewalls and proxies between this server and the store."
    } else {
        UNREACHABLE.hint
    };
    Meaning { hint, ..UNREACHABLE }
}

fn describe_skew(date: &str, now: EpochMillis) -> Option<String> {
    let theirs = DateTimeParser::new().parse_timestamp(date).ok()?.as_millisecond();
    let difference = SignedDuration::from_secs((now - theirs).abs() / 1000);
    let direction = if now >= theirs { "ahead of" } else { "behind" };
    Some(format!(
        "This server's clock is {difference:#} {direction} that of AWS."
    ))
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
