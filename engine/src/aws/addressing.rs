//! Where requests name the bucket, and the failures that this can cause.

use auditstream_model::FailureCode;

use super::failure::AwsFailure;
use super::hint::is_unresolved;
use super::profile::AwsProfile;

/// The place of the bucket's name in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// As AWS and path style do.
    Plain,
    /// In front of the host name of a custom endpoint.
    InHost,
}

impl Addressing {
    pub(super) fn of(profile: &AwsProfile) -> Self {
        if profile.endpoint.is_some() && !profile.path_style {
            Self::InHost
        } else {
            Self::Plain
        }
    }

    /// Adds to the hint of a failure that path style may be required, where it can be the cause.
    pub(super) fn explain(self, failure: AwsFailure) -> AwsFailure {
        const PATH_STYLE: &str = "The bucket's name is in front of the endpoint's host name. If the store expects it in \
                                  the path, switch on path style in the connector.";
        if self == Self::Plain {
            return failure;
        }
        let hint = match failure.code {
            FailureCode::Network if is_unresolved(&failure.message) => PATH_STYLE.to_owned(),
            FailureCode::NoSuchBucket | FailureCode::NotFound | FailureCode::NotS3 | FailureCode::Refused => {
                format!("{PATH_STYLE} {}", failure.hint)
            }
            FailureCode::Network if failure.message.contains("certificate") => format!("{} {PATH_STYLE}", failure.hint),
            _ => return failure,
        };
        AwsFailure { hint, ..failure }
    }
}
