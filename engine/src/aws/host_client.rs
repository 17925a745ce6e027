//! An S3 client as the AWS command line has it: with this host's identity, region and endpoint.

use std::env;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;

use super::http_client::unrestricted_client;
use super::settings::Timeouts;

/// Creates the client from the environment and the shared files (`AWS_PROFILE`, `AWS_REGION`,
/// `AWS_ENDPOINT_URL` …). The SDK retries.
pub(crate) async fn host_client() -> Client {
    let timeouts = Timeouts::default();
    let deadlines = TimeoutConfig::builder()
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.read)
        .build();
    let shared = aws_config::defaults(BehaviorVersion::latest())
        .http_client(unrestricted_client(timeouts))
        .timeout_config(deadlines)
        .load()
        .await;
    let has_endpoint = shared.endpoint_url().is_some() || env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    let mut config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(has_endpoint);
    if shared.region().is_none() {
        config = config.region(Region::from_static("us-east-1"));
    }
    Client::from_conf(config.build())
}
