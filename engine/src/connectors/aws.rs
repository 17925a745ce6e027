//! Clients of a connector. The SDK's own retries are off: the engine decides when to try again, and records it first.

use std::time::Duration;

use auditstream_model::connector::Secrets;
use auditstream_model::{Connector, Credentials};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation};

/// Waits of one call: for the connection, for the first byte of the answer, and for all of it.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_secs(30))
        .operation_timeout(Duration::from_secs(120))
        .build()
}

fn credentials(connector: &Connector, secrets: Option<&Secrets>) -> aws_sdk_s3::config::Credentials {
    let access_key = match &connector.spec.credentials {
        Credentials::Manual { access_key } => access_key.as_str(),
        Credentials::Inherit | Credentials::Irsa => "",
    };
    let secret_key = secrets.map(|secrets| secrets.secret_key.as_str()).unwrap_or_default();
    let session_token = secrets.and_then(|secrets| secrets.session_token.clone());
    aws_sdk_s3::config::Credentials::new(access_key, secret_key, session_token, None, "auditstream connector")
}

/// A client of S3, or of the store at the connector's endpoint.
pub(crate) fn s3(connector: &Connector, secrets: Option<&Secrets>) -> aws_sdk_s3::Client {
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(connector.spec.region.clone()))
        .credentials_provider(credentials(connector, secrets))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        .force_path_style(connector.spec.path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    config.set_endpoint_url(connector.spec.endpoint.clone());
    aws_sdk_s3::Client::from_conf(config.build())
}

/// A client of STS, which tells who the credentials are.
pub(crate) fn sts(connector: &Connector, secrets: Option<&Secrets>) -> aws_sdk_sts::Client {
    let mut config = aws_sdk_sts::Config::builder()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(Region::new(connector.spec.region.clone()))
        .credentials_provider(credentials(connector, secrets))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts());
    config.set_endpoint_url(std::env::var("AWS_ENDPOINT_URL_STS").ok());
    aws_sdk_sts::Client::from_conf(config.build())
}
