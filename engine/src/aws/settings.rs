//! What the engine is told about AWS when it starts.

use std::path::PathBuf;
use std::time::Duration;

use auditstream_model::AccountName;
use aws_sdk_s3::config::timeout::TimeoutConfig;

/// How AWS is reached, and who may use this host's own identity.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// Waits of one call.
    pub timeouts: Timeouts,
    /// Accounts whose connectors may use this host's own AWS identity (INHERIT, IRSA).
    pub host_accounts: Vec<AccountName>,
    /// The address of STS instead of AWS's regional ones.
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

/// How long one call to AWS may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until the answer begins.
    pub read: Duration,
    /// For all of it.
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

/// What Kubernetes puts into a pod for IRSA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebIdentity {
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`; read at each sign-in, because the token in it changes.
    pub token_file: PathBuf,
    /// `AWS_ROLE_ARN`
    pub role_arn: String,
}
