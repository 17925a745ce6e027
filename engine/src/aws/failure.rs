//! What went wrong, in words that a person can act on.

use std::error::Error as _;

use auditstream_model::{DestinationSpec, EpochMillis, Failure, FailureCode};
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use jiff::SignedDuration;
use jiff::fmt::rfc2822::DateTimeParser;

use super::error_table::explain;
use crate::database::now;
use crate::egress_policy::address_not_allowed;

/// One failed call.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) code: FailureCode,
    /// Whether the server answered at all.
    pub(crate) answered: bool,
    /// Whether the object may have been stored all the same.
    pub(crate) in_doubt: bool,
    /// Whether trying again soon can help.
    pub(crate) transient: bool,
    /// Whether only an admin can get past it.
    pub(crate) blocked: bool,
    pub(crate) message: String,
    pub(crate) hint: String,
    pub(crate) explanation: &'static str,
    /// What AWS calls the request.
    pub(crate) request_id: Option<Box<str>>,
    /// The bucket's region, where the answer told it.
    pub(crate) region: Option<Box<str>>,
}

impl Cause {
    /// Something that stands in the way before anything is sent, or a plain refusal.
    pub(crate) fn refused(
        code: FailureCode,
        message: impl Into<String>,
        hint: impl Into<String>,
        explanation: &'static str,
    ) -> Self {
        Self {
            code,
            answered: true,
            in_doubt: false,
            transient: false,
            blocked: false,
            message: message.into(),
            hint: hint.into(),
            explanation,
            request_id: None,
            region: None,
        }
    }

    /// A refusal that an admin has to look at.
    pub(crate) fn blocked(code: FailureCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let explanation = "The destination stops here until an admin has looked at it. Nothing is skipped.";
        Self {
            blocked: true,
            ..Self::refused(code, message, hint, explanation)
        }
    }

    /// The same with another hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same of a bucket that is known to be elsewhere.
    pub(crate) fn in_region(self, region: Box<str>, bucket: &str) -> Self {
        Self {
            message: format!("{} The bucket {bucket} is in {region}.", self.message),
            hint: format!("Set the connector's region to {region}, where the bucket is."),
            region: Some(region),
            ..self
        }
    }

    /// The same of a destination's PUT: names what is to be allowed, and where.
    pub(crate) fn at(self, spec: &DestinationSpec) -> Self {
        if self.code != FailureCode::AccessDenied || self.message.contains("kms:") {
            return self;
        }
        let hint = format!(
            "Please check the credentials: their policy must allow s3:PutObject on {}/{}*, and the bucket's own policy must \
             not deny it. The bucket check names all that is needed.",
            spec.bucket.as_str(),
            spec.prefix.as_str()
        );
        self.with_hint(hint)
    }

    /// As it is stored and shown.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            code: self.code,
            message: self.message.clone(),
            hint: self.hint.clone(),
            blocked: self.blocked,
            at: now(),
            request_id: self.request_id.as_deref().map(str::to_owned),
        }
    }
}

/// What a failed call of the SDK means.
pub(crate) fn classify<E>(error: &SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(refusal) = address_not_allowed(error) {
        return Cause {
            answered: false,
            ..Cause::refused(
                FailureCode::EndpointRefused,
                refusal.to_string(),
                "Check the connector's endpoint, and what its name leads to in this server's DNS.",
                "What is kept for hosts alone, such as the clouds' metadata, is not reached through a connector. Nothing \
                 was sent.",
            )
        };
    }
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    let word = error.code().unwrap_or_default();
    let said = error.message().unwrap_or_default();
    let message = match status {
        Some(status) if !said.is_empty() => format!("{word}: {said} (HTTP {status})"),
        Some(status) if !word.is_empty() => format!("{word} (HTTP {status})"),
        Some(status) => format!("HTTP {status} without an explanation"),
        None => innermost(error),
    };
    // STS names a clock that is off with the word of a wrong signature.
    let skewed = said.contains("Signature expired") || said.contains("Signature not yet current");
    let meaning = explain(status, if skewed { "RequestTimeTooSkewed" } else { word });
    let region = response.and_then(region);
    let hint = match (meaning.code, &region) {
        (FailureCode::Region, Some(region)) => format!("Set the connector's region to {region}, where the bucket is."),
        (FailureCode::ClockSkew, _) => response
            .and_then(|response| response.headers().get("date"))
            .and_then(|date| skew(date, now()))
            .map_or_else(|| meaning.hint.to_owned(), |skew| format!("{skew} {}", meaning.hint)),
        (FailureCode::AccessDenied, _) if said.contains("kms:") => {
            "Allow kms:GenerateDataKey and kms:Decrypt on the KMS key: in the identity's policy and in the key's own."
                .to_owned()
        }
        (FailureCode::Network, _) if status.is_none() => unreached(&message).unwrap_or(meaning.hint).to_owned(),
        _ => meaning.hint.to_owned(),
    };
    let in_doubt = status.is_none_or(|status| status >= 500 || status == 200) && !is_unsent(error);
    Cause {
        code: meaning.code,
        answered: status.is_some(),
        in_doubt,
        transient: meaning.transient,
        blocked: false,
        message: readable(&message),
        hint,
        explanation: meaning.explanation,
        request_id: response.and_then(request_id),
        region,
    }
}

/// What a store said, as text that can be kept and shown: without control characters, and not endless.
fn readable(said: &str) -> String {
    const CHARS: usize = 2_000;
    let plain = said.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(CHARS).collect()
}

/// What to look at first, by what the network said.
fn unreached(message: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if says(&["dns error", "failed to lookup", "Name or service not known"]) {
        Some("Check the name in the connector's endpoint, its region, and this server's DNS.")
    } else if says(&["Connection refused"]) {
        Some("Nothing listens at the connector's endpoint: check its address and port, and whether the store runs.")
    } else if says(&["certificate", "UnknownIssuer"]) {
        Some(
            "This server does not trust the store's certificate: check the endpoint's name, or install its authority here.",
        )
    } else if says(&["timeout", "timed out"]) {
        Some("The store did not answer in time: check firewalls and proxies between this server and it.")
    } else {
        None
    }
}

/// S3's and STS's name of a request.
fn request_id(response: &HttpResponse) -> Option<Box<str>> {
    let headers = response.headers();
    headers
        .get("x-amz-request-id")
        .or_else(|| headers.get("x-amzn-requestid"))
        .map(Into::into)
}

/// The bucket's region, by the header of an answer or by the body of an error.
pub(crate) fn region(response: &HttpResponse) -> Option<Box<str>> {
    if let Some(region) = response.headers().get("x-amz-bucket-region") {
        return Some(region.into());
    }
    let body = std::str::from_utf8(response.body().bytes()?).ok()?;
    let (_, rest) = body.split_once("<Region>")?;
    let (region, _) = rest.split_once("</Region>")?;
    let is_word = !region.is_empty() && region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_word.then(|| region.into())
}

/// How far this server's clock is from the one that an answer's `Date` header tells.
fn skew(date: &str, now: EpochMillis) -> Option<String> {
    let theirs = DateTimeParser::new().parse_timestamp(date).ok()?.as_millisecond();
    let apart = SignedDuration::from_secs((now - theirs).abs() / 1000);
    let word = if now >= theirs { "ahead of" } else { "behind" };
    Some(format!("This server's clock is {apart:#} {word} that of AWS."))
}

/// The message at the bottom of a chain of errors: the ones above it only say that a call failed.
fn innermost<E: std::error::Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let mut cause: Option<&dyn std::error::Error> = error.source();
    let mut text = None;
    while let Some(inner) = cause {
        text = Some(inner.to_string());
        cause = inner.source();
    }
    text.unwrap_or_else(|| DisplayErrorContext(error).to_string())
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
    fn a_clock_that_is_off_is_told_by_how_much() {
        let date = "Tue, 24 Nov 2026 08:00:00 GMT";
        let theirs = 1_795_507_200_000;
        assert_eq!(
            skew(date, theirs + 1_200_000).as_deref(),
            Some("This server's clock is 20m ahead of that of AWS.")
        );
        assert_eq!(
            skew(date, theirs - 3_725_000).as_deref(),
            Some("This server's clock is 1h 2m 5s behind that of AWS.")
        );
        assert_eq!(skew("yesterday", theirs), None);
    }
}
