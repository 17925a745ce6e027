//! Where and as whom to sign in.

use auditstream_model::{Credentials, Secrets};

/// A region or endpoint with credentials, like a profile of the AWS command line.
#[derive(Debug)]
pub(crate) struct AwsProfile {
    pub(crate) account_id: i64,
    /// The account's name.
    pub(crate) account: String,
    /// Unique within the account.
    pub(crate) identifier: String,
    pub(crate) region: String,
    /// The address of an S3-compatible store; `None` for AWS itself.
    pub(crate) endpoint: Option<String>,
    /// Whether the bucket's name is in the path rather than in the host name.
    pub(crate) path_style: bool,
    pub(crate) credentials: Credentials,
    pub(crate) secrets: Option<Secrets>,
    /// The role to assume after signing in.
    pub(crate) role_arn: Option<String>,
    /// The account's external id, sent when a role is assumed.
    pub(crate) external_id: String,
    /// Changes with every edit that affects how AWS is reached.
    pub(crate) version: [u8; 32],
}

impl AwsProfile {
    /// Returns whether it uses this host's identity instead of an access key.
    pub(crate) fn uses_host(&self) -> bool {
        !matches!(self.credentials, Credentials::Manual { .. })
    }
}
