//! Clients of AWS STS.

use auditstream_model::FailureCode;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use sha2::{Digest as _, Sha256};

use super::context::AwsContext;
use super::failure::{AwsFailure, classify};
use super::profile::AwsProfile;

/// `credentials` is `None` for the one call that needs none, `AssumeRoleWithWebIdentity`.
pub(super) fn sts_client(
    context: &AwsContext,
    profile: &AwsProfile,
    credentials: Option<&Credentials>,
) -> aws_sdk_sts::Client {
    let mut config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(context.http_client.clone())
        .region(Region::new(profile.region.clone()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(context.settings.timeouts.config(0));
    if let Some(credentials) = credentials {
        config = config.credentials_provider(without_expiry(credentials));
    }
    config.set_endpoint_url(context.settings.sts_endpoint.clone());
    aws_sdk_sts::Client::from_conf(config.build())
}

/// Copies credentials without their expiry, which the session watches instead of each client.
pub(super) fn without_expiry(credentials: &Credentials) -> Credentials {
    Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token().map(str::to_owned),
        None,
        "auditstream connector",
    )
}

/// Explains a failed call of STS, which is not at the connector's endpoint and stores nothing.
pub(super) fn sts_failure<E>(error: &SdkError<E, HttpResponse>) -> AwsFailure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failure = AwsFailure {
        in_doubt: false,
        ..classify(error)
    };
    match failure.code {
        FailureCode::NotS3 => AwsFailure {
            message: failure.message.replace("an answer of S3", "an answer of AWS STS"),
            ..not_sts()
        },
        FailureCode::Network | FailureCode::Tls => AwsFailure {
            hint:
                "This server did not reach AWS STS: check its DNS, firewall and proxies, the connector's region, and \
                   AWS_ENDPOINT_URL_STS."
                    .to_owned(),
            ..failure
        },
        _ => failure,
    }
}

pub(super) fn not_sts() -> AwsFailure {
    AwsFailure {
        responded: false,
        ..AwsFailure::refused(
            FailureCode::NotS3,
            "This is not an answer of AWS STS.",
            "Check AWS_ENDPOINT_URL_STS, and the proxies between this server and AWS.",
            "Something that is not AWS STS responded.",
        )
    }
}

/// Returns the session name, by which AWS CloudTrail shows the account and the connector: at most
/// 64 characters. A longer one is cut, and ends in a part of its hash.
pub(super) fn session_name(profile: &AwsProfile) -> String {
    const CHARS: usize = 64;
    let plain = |text: &str| -> String {
        let valid = |c: char| {
            if c.is_ascii_alphanumeric() || "_+=,.@-".contains(c) {
                c
            } else {
                '-'
            }
        };
        text.chars().map(valid).collect()
    };
    let name = format!("auditstream@{}.{}", profile.account, profile.identifier);
    if name.chars().count() <= CHARS {
        return plain(&name);
    }
    let hash = Sha256::digest(name.as_bytes());
    let hash = format!("{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3]);
    let start: String = plain(&name).chars().take(CHARS - 1 - hash.len()).collect();
    format!("{start}-{hash}")
}

#[cfg(test)]
mod tests {
    use auditstream_model::Credentials as Kind;

    use super::*;

    fn name(account: &str, identifier: &str) -> String {
        session_name(&AwsProfile {
            account_id: 1,
            account: account.to_owned(),
            identifier: identifier.to_owned(),
            region: String::new(),
            endpoint: None,
            path_style: false,
            credentials: Kind::Inherit,
            secrets: None,
            role_arn: None,
            external_id: String::new(),
            version: [0; 32],
        })
    }

    #[test]
    fn the_session_name_says_account_and_connector_in_64_valid_characters() {
        assert_eq!(name("default", "aws"), "auditstream@default.aws");
        assert_eq!(name("default", "a$b c"), "auditstream@default.a-b-c");
        let (one, other) = (
            name(&"a".repeat(64), &"b".repeat(128)),
            name(&"a".repeat(64), &"c".repeat(128)),
        );
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
    }
}
