//! The settings, and the HTTP client for AWS itself, which signing in requires.

use aws_sdk_s3::config::SharedHttpClient;

use super::settings::AwsSettings;

#[derive(Debug)]
pub(crate) struct AwsContext {
    pub(crate) settings: AwsSettings,
    pub(super) http_client: SharedHttpClient,
}
