//! Clients of AWS STS.

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

use super::context::AwsContext;
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
        .timeout_config(context.settings.timeouts.config());
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
