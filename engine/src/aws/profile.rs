//! Where and as whom to sign in.

use auditstream_model::{Credentials, Secrets};

/// A region or endpoint with credentials, like a profile of the AWS command line.
#[derive(Debug)]
pub(crate) struct AwsProfile {
    pub(crate) account_id: i64,
    pub(crate) account: String,
    pub(crate) identifier: String,
    pub(crate) region: String,
    /// The address of an S3-compatible store; `None` for AWS itself.
    pub(crate) endpoint: Option<String>,
    /// Whether the bucket's name is in the path rather than in the host name.
    pub(crate) path_style: bool,
    pub(crate) credentials: Credentials,
    pub(crate) secrets: Option<Secrets>,
    pub(crate) role_arn: Option<String>,
    pub(crate) external_id: String,
    /// Changes with every edit that affects how AWS is reached.
    pub(crate) version: [u8; 32],
}

impl AwsProfile {
    pub(crate) fn uses_host(&self) -> bool {
        !matches!(self.credentials, Credentials::Manual { .. })
    }

    /// Returns whether signing in again can give other credentials.
    pub(crate) fn can_renew(&self) -> bool {
        self.uses_host() || self.role_arn.is_some()
    }
}
