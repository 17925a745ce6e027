//! The reason why a batch was not delivered.

use auditstream_model::{Failure, FailureCode};

use crate::aws::AwsFailure;
use crate::database::now;

#[derive(Clone, Debug)]
pub(super) struct DeliveryFailure {
    pub(super) failure: Failure,
    pub(super) transient: bool,
    /// Whether the object may have been stored nevertheless.
    pub(super) in_doubt: bool,
    pub(super) region: Option<Box<str>>,
    /// Whether the line was too slow for the object.
    pub(super) too_slow: bool,
    /// Whether the store, rather than STS, refused the credentials.
    pub(super) credentials_refused: bool,
}

impl DeliveryFailure {
    /// A failure that stops the destination until the next tick.
    pub(super) fn new(code: FailureCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            failure: Failure {
                code,
                message: message.into(),
                hint: hint.into(),
                blocked: false,
                at: now(),
                request_id: None,
            },
            transient: false,
            in_doubt: false,
            region: None,
            too_slow: false,
            credentials_refused: false,
        }
    }

    /// A failure that only an admin can resolve.
    pub(super) fn blocked(code: FailureCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut failure = Self::new(code, message, hint);
        failure.failure.blocked = true;
        failure
    }
}

impl From<AwsFailure> for DeliveryFailure {
    fn from(failure: AwsFailure) -> Self {
        Self {
            failure: Failure {
                code: failure.code,
                message: failure.message,
                hint: failure.hint,
                blocked: false,
                at: now(),
                request_id: failure.request_id.map(String::from),
            },
            transient: failure.transient,
            in_doubt: failure.in_doubt,
            region: failure.region,
            too_slow: failure.too_slow,
            credentials_refused: false,
        }
    }
}
