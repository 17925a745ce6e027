//! Where requests name the bucket, and the failures that this can cause.

use std::net::Ipv4Addr;

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
        match &profile.endpoint {
            Some(endpoint) if !profile.path_style && !is_ip_address(endpoint) => Self::InHost,
            _ => Self::Plain,
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

/// Returns whether the host of an endpoint is an IP address, in front of which no name can be.
fn is_ip_address(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    authority.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ip_address_has_no_name_in_front_of_it() {
        for endpoint in ["http://127.0.0.1:9000", "https://10.0.0.1/s3", "http://[::1]:9000"] {
            assert!(is_ip_address(endpoint), "{endpoint}");
        }
        for endpoint in [
            "http://localhost:9000",
            "https://s3.example.com",
            "http://minio_1:9000/s3",
        ] {
            assert!(!is_ip_address(endpoint), "{endpoint}");
        }
    }
}
