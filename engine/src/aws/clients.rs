//! Clients of a connector. The SDK's own retries are off: the engine decides when to try again, and records it first.
//!
//! Who has signed in stays so: credentials are kept for each connector as it stands, and fetched anew some time before
//! they expire. A connector that was changed is another one from the next attempt on. The region of a bucket that
//! turned out to be elsewhere is remembered beside them.

use auditstream_model::FailureCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use tokio::sync::Mutex as AsyncMutex;

use super::failure::Cause;
use super::settings::AwsSettings;
use super::{credentials, http_client};
use crate::connectors::Unlocked;
use crate::egress_policy::EgressPolicy;

/// All connectors that have signed in.
#[derive(Debug)]
pub(crate) struct Aws {
    settings: AwsSettings,
    /// For AWS itself.
    http_client: SharedHttpClient,
    /// For the endpoints that users enter.
    guarded_http_client: SharedHttpClient,
    known: Mutex<HashMap<(i64, String), Arc<Known>>>,
}

/// What is known of one connector as it stands.
#[derive(Debug)]
struct Known {
    version: [u8; 32],
    door: AsyncMutex<Door>,
    /// Regions of buckets that are elsewhere than the connector says.
    regions: Mutex<HashMap<String, String>>,
}

/// Where one signs in at a time.
#[derive(Debug, Default)]
struct Door {
    signed_in: Option<SignedIn>,
    /// The last refusal, and when: those who waited meanwhile take it for theirs.
    refused: Option<(Instant, Cause)>,
}

#[derive(Debug)]
struct SignedIn {
    credentials: Credentials,
    /// When to fetch them anew; none for those of an access key.
    stale: Option<Instant>,
    /// When they end; none when they do not.
    ends: Option<Instant>,
    clients: HashMap<String, Client>,
}

impl SignedIn {
    fn is_fresh(&self) -> bool {
        self.stale.is_none_or(|stale| Instant::now() < stale)
    }

    fn is_good(&self) -> bool {
        self.ends.is_none_or(|ends| Instant::now() < ends)
    }
}

/// A client of S3, and the region that it signs for.
#[derive(Clone, Debug)]
pub(crate) struct S3 {
    pub(crate) client: Client,
    pub(crate) region: String,
    /// What it signs with.
    pub(crate) credentials: Credentials,
}

impl Aws {
    pub(crate) fn new(settings: AwsSettings, egress_policy: EgressPolicy) -> Self {
        Self {
            settings,
            http_client: http_client::unguarded(),
            guarded_http_client: http_client::guarded(egress_policy),
            known: Mutex::default(),
        }
    }

    pub(crate) fn settings(&self) -> &AwsSettings {
        &self.settings
    }

    /// The HTTP client for AWS itself.
    pub(super) fn http_client(&self) -> &SharedHttpClient {
        &self.http_client
    }

    /// Whether connectors of an account may use this host's own identity.
    pub(crate) fn permits_host(&self, account: &str) -> bool {
        self.settings.host_accounts.iter().any(|name| name.as_str() == account)
    }

    /// A client for a bucket, signed in.
    ///
    /// # Errors
    /// What keeps the connector from signing in.
    pub(crate) async fn s3(&self, unlocked: &Unlocked, bucket: &str) -> Result<S3, Cause> {
        let known = self.known(unlocked);
        let region = known.region(bucket).unwrap_or_else(|| unlocked.region().to_owned());
        let asked = Instant::now();
        let mut door = known.door.lock().await;
        if !door.signed_in.as_ref().is_some_and(SignedIn::is_fresh) {
            if let Some((_, cause)) = door.refused.as_ref().filter(|(at, _)| *at >= asked) {
                return Err(cause.clone());
            }
            match credentials::sign_in(self, unlocked).await {
                Ok(credentials) => door.signed_in = Some(SignedIn::of(unlocked, credentials)),
                // STS does not answer, and what there is is good for a while.
                Err(cause) if cause.transient && door.signed_in.as_ref().is_some_and(SignedIn::is_good) => {
                    tracing::warn!(
                        message = cause.message,
                        "credentials could not be refreshed ahead of time"
                    );
                }
                // What is about to end is of no use when new ones are refused: the role may have been taken away.
                Err(cause) => {
                    door.signed_in = None;
                    door.refused = Some((Instant::now(), cause.clone()));
                    return Err(cause);
                }
            }
        }
        let Some(signed_in) = door.signed_in.as_mut() else {
            return Err(Cause::refused(FailureCode::Credentials, "not signed in", "", ""));
        };
        let credentials = &signed_in.credentials;
        let client = signed_in
            .clients
            .entry(region.clone())
            .or_insert_with(|| self.s3_client(unlocked, credentials, &region))
            .clone();
        Ok(S3 {
            client,
            region,
            credentials: credentials.clone(),
        })
    }

    /// A client of S3, or of the store at the connector's endpoint.
    pub(crate) fn s3_client(&self, unlocked: &Unlocked, credentials: &Credentials, region: &str) -> Client {
        let spec = &unlocked.connector.spec;
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http_client.clone())
            .region(Region::new(region.to_owned()))
            .credentials_provider(lasting(credentials))
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.settings.timeouts.config())
            .force_path_style(spec.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &spec.endpoint {
            config = config
                .endpoint_url(endpoint)
                .http_client(self.guarded_http_client.clone());
        }
        Client::from_conf(config.build())
    }

    /// A client of STS; without credentials for the one call that needs none. Its address is AWS's, or the one that the
    /// server's configuration names.
    pub(crate) fn sts_client(&self, unlocked: &Unlocked, credentials: Option<&Credentials>) -> aws_sdk_sts::Client {
        let mut config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http_client.clone())
            .region(Region::new(unlocked.region().to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.settings.timeouts.config());
        if let Some(credentials) = credentials {
            config = config.credentials_provider(lasting(credentials));
        }
        config.set_endpoint_url(self.settings.sts_endpoint.clone());
        aws_sdk_sts::Client::from_conf(config.build())
    }

    /// AWS refused the credentials: the next attempt signs in anew.
    pub(crate) async fn sign_out(&self, unlocked: &Unlocked) {
        self.known(unlocked).door.lock().await.signed_in = None;
    }

    /// Remembers where a bucket is. Answers whether that is news.
    pub(crate) fn bucket_is_in(&self, unlocked: &Unlocked, bucket: &str, region: &str) -> bool {
        let known = self.known(unlocked);
        let mut regions = known.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(bucket.to_owned(), region.to_owned()).as_deref() != Some(region)
    }

    /// Forgets a connector.
    pub(crate) fn forget(&self, account_id: i64, identifier: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&(account_id, identifier.to_owned()));
    }

    fn known(&self, unlocked: &Unlocked) -> Arc<Known> {
        let place = (unlocked.account_id, unlocked.connector.identifier.as_str().to_owned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&place).filter(|found| found.version == unlocked.version) {
            return Arc::clone(found);
        }
        let fresh = Arc::new(Known {
            version: unlocked.version,
            door: AsyncMutex::default(),
            regions: Mutex::default(),
        });
        known.insert(place, Arc::clone(&fresh));
        fresh
    }
}

impl Known {
    fn region(&self, bucket: &str) -> Option<String> {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.get(bucket).cloned()
    }
}

impl SignedIn {
    /// Credentials are fetched anew five minutes before they end, or when two thirds of a short life are over; those of the
    /// host that do not end, after a quarter of an hour.
    fn of(unlocked: &Unlocked, credentials: Credentials) -> Self {
        const AHEAD: Duration = Duration::from_secs(300);
        const LOOK_AGAIN: Duration = Duration::from_secs(900);
        let life = credentials
            .expiry()
            .map(|expiry| expiry.duration_since(SystemTime::now()).unwrap_or_default());
        let fresh = match life {
            Some(life) => Some(life - AHEAD.min(life / 3)),
            None => unlocked.uses_host().then_some(LOOK_AGAIN),
        };
        Self {
            credentials,
            stale: fresh.map(|fresh| Instant::now() + fresh),
            ends: life.map(|life| Instant::now() + life),
            clients: HashMap::new(),
        }
    }
}

/// The same without their end, which is watched here and not by each client.
fn lasting(credentials: &Credentials) -> Credentials {
    Credentials::new(
        credentials.access_key_id(),
        credentials.secret_access_key(),
        credentials.session_token().map(str::to_owned),
        None,
        "auditstream connector",
    )
}
