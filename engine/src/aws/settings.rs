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
    /// Until the connection accepts the next bytes of a request.
    pub stall: Duration,
    /// Until the response begins, once the request is sent.
    pub read: Duration,
    /// For the whole call; uploads have more, by [`Timeouts::slowest`].
    pub whole: Duration,
    /// The slowest line that is accepted, bytes per second.
    pub slowest: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(20),
            read: Duration::from_secs(30),
            whole: Duration::from_secs(60),
            slowest: 32_000,
        }
    }
}

impl Timeouts {
    /// Bytes that may be accepted and not sent yet: by the HTTP client and by the kernel.
    const BUFFERED: u64 = 4_500_000;

    /// Returns the deadlines of a call with a body of this length. Those that depend on its
    /// progress are watched by the HTTP client.
    pub(super) fn config(self, bytes: u64) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_timeout(self.connect + self.upload(bytes))
            .build()
    }

    /// Returns the deadline of a whole call.
    pub(super) fn upload(self, bytes: u64) -> Duration {
        self.whole + self.transfer(bytes)
    }

    /// Returns how long a call may make no progress, once the connection has accepted `sent` of
    /// `bytes`.
    pub(super) fn patience(self, sent: u64, bytes: u64) -> Duration {
        if sent < bytes {
            self.stall
        } else {
            self.read + self.transfer(bytes.min(Self::BUFFERED))
        }
    }

    fn transfer(self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.slowest.max(1)))
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
