//! The engine's settings for AWS.

use std::path::PathBuf;
use std::time::Duration;

use auditstream_model::AccountName;
use aws_sdk_s3::config::timeout::TimeoutConfig;

/// How AWS is reached, and who may use this host's identity.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// Deadlines of one call.
    pub timeouts: Timeouts,
    /// Accounts whose connectors may use this host's AWS identity (INHERIT, IRSA).
    pub host_accounts: Vec<AccountName>,
    /// Replaces the regional addresses of AWS STS.
    pub sts_endpoint: Option<String>,
    /// The service account of the Kubernetes pod, for IRSA.
    pub web_identity: Option<WebIdentity>,
}

impl Default for AwsSettings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            host_accounts: vec![AccountName::default_account()],
            sts_endpoint: None,
            web_identity: None,
        }
    }
}

impl AwsSettings {
    pub(crate) fn permits_host(&self, account: &str) -> bool {
        self.host_accounts.iter().any(|name| name.as_str() == account)
    }
}

/// Deadlines of one call to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection is open.
    pub connect: Duration,
    /// Until the response begins.
    pub read: Duration,
    /// For the whole call.
    pub whole: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(30),
            whole: Duration::from_secs(120),
        }
    }
}

impl Timeouts {
    pub(super) fn config(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .read_timeout(self.read)
            .operation_timeout(self.whole)
            .build()
    }
}

/// The variables that Kubernetes sets in a pod for IRSA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentity {
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`; read at each sign-in, because its token is renewed.
    pub token_file: PathBuf,
    /// `AWS_ROLE_ARN`
    pub role_arn: String,
}
