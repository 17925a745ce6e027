//! What went wrong, in words that a person can act on.

use std::error::Error as _;

use auditstream_model::Failure;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

use crate::store::now;

/// One failed call.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    /// A stable word.
    pub(crate) code: &'static str,
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
    pub(crate) explanation: String,
}

impl Cause {
    /// A refusal that an admin has to look at.
    pub(crate) fn blocked(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            answered: true,
            in_doubt: false,
            transient: false,
            blocked: true,
            message: message.into(),
            hint: hint.into(),
            explanation: "The destination stops here until an admin has looked at it. Nothing is skipped.".to_owned(),
        }
    }

    /// As it is stored and shown.
    pub(crate) fn failure(&self) -> Failure {
        Failure {
            code: self.code.to_owned(),
            message: self.message.clone(),
            hint: self.hint.clone(),
            blocked: self.blocked,
            at: now(),
        }
    }
}

/// What a failed call of the SDK means.
pub(crate) fn classify<E>(error: &SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let word = error.code().unwrap_or_default();
    let said = error.message().unwrap_or_default();
    let message = match status {
        Some(status) if !said.is_empty() => format!("{word}: {said} (HTTP {status})"),
        Some(status) if !word.is_empty() => format!("{word} (HTTP {status})"),
        Some(status) => format!("HTTP {status} without an explanation"),
        None => innermost(error),
    };
    let (code, transient, hint, explanation) = explain(status, word);
    let in_doubt = status.is_none_or(|status| status >= 500 || status == 200) && !is_unsent(error);
    Cause {
        code,
        answered: status.is_some(),
        in_doubt,
        transient,
        blocked: false,
        message,
        hint: hint.to_owned(),
        explanation: explanation.to_owned(),
    }
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

/// Code, whether to retry soon, hint, explanation.
fn explain(status: Option<u16>, word: &str) -> (&'static str, bool, &'static str, &'static str) {
    match (word, status) {
        (
            "InvalidAccessKeyId" | "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException",
            _,
        ) => (
            "credentials",
            false,
            "Check the access key and the secret key of the connector, and enter both again.",
            "AWS does not know this access key, or the secret key does not belong to it.",
        ),
        ("ExpiredToken" | "InvalidToken", _) => (
            "credentials",
            false,
            "Enter fresh credentials in the connector; a session token belongs to temporary ones.",
            "The session token is no longer good, or is none.",
        ),
        ("RequestTimeTooSkewed", _) => (
            "clock_skew",
            true,
            "Set this server's clock: AWS allows a difference of 15 minutes.",
            "The clock of this server and that of AWS are too far apart for a signature to count.",
        ),
        ("NoSuchBucket", _) => (
            "no_such_bucket",
            false,
            "Check the bucket's name and the connector's region, or create the bucket.",
            "There is no bucket of this name where the connector points.",
        ),
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "TemporaryRedirect",
            _,
        )
        | (_, Some(301 | 307)) => (
            "region",
            false,
            "Set the connector's region to the bucket's.",
            "The bucket is in another region than the connector's.",
        ),
        ("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded", _) | (_, Some(429)) => (
            "throttling",
            true,
            "Nothing to do: it is tried again more slowly.",
            "The store asked to be called less often.",
        ),
        ("AccessDenied" | "AllAccessDisabled", _) | (_, Some(401 | 403)) => (
            "access_denied",
            false,
            "Please check the credentials: their policy must allow s3:PutObject on this bucket.",
            "The credentials are known, but may not do this.",
        ),
        ("ConditionalRequestConflict" | "OperationAborted", _) | (_, Some(409)) => (
            "conflict",
            true,
            "Nothing to do: it is tried again.",
            "Another write of the same object was under way.",
        ),
        (_, Some(408)) => (
            "network",
            true,
            "Nothing to do: it is tried again.",
            "The store waited too long for the request.",
        ),
        (_, Some(404)) => (
            "not_found",
            false,
            "Check the bucket's name and the connector's endpoint.",
            "The store has nothing at this address.",
        ),
        (_, Some(status)) if status >= 500 || status == 200 => (
            "server",
            true,
            "Nothing to do: it is tried again.",
            "The store had a fault of its own.",
        ),
        (_, Some(_)) => (
            "refused",
            false,
            "Compare the destination's options with what the store supports.",
            "The store refused the request.",
        ),
        (_, None) => (
            "network",
            true,
            "Check the connector's endpoint and region, and that this server may reach it.",
            "The store was not reached, or its answer was lost.",
        ),
    }
}
