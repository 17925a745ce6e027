//! S3 clients, signed in. The SDK's retries are disabled: the engine decides when to retry, and
//! records each attempt first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};

use super::addressing::Addressing;
use super::clock_witness::ClockWitness;
use super::context::AwsContext;
use super::failure::AwsFailure;
use super::http_client::{restricted_client, unrestricted_client};
use super::object::Bucket;
use super::profile::AwsProfile;
use super::session::{Session, SignedIn};
use super::settings::{AwsSettings, Timeouts};
use super::sts::without_expiry;
use super::uplink::Uplink;
use crate::database::Clock;
use crate::egress_policy::{AddressPolicy, EgressPolicy};

#[derive(Debug)]
pub(crate) struct Aws {
    context: AwsContext,
    egress_policy: EgressPolicy,
    /// For the custom endpoints of accounts that can reach private addresses, and of the others.
    private_client: SharedHttpClient,
    public_client: SharedHttpClient,
    /// By account id and the profile's identifier.
    sessions: Mutex<HashMap<(i64, String), Arc<Session>>>,
    /// By endpoint; `None` is AWS itself.
    uplinks: Mutex<HashMap<Option<String>, Arc<Uplink>>>,
    clock: Clock,
}

#[derive(Clone, Debug)]
pub(crate) struct S3 {
    client: Client,
    pub(crate) region: String,
    pub(crate) credentials: Credentials,
    timeouts: Timeouts,
    addressing: Addressing,
}

impl S3 {
    pub(crate) fn bucket(&self, name: &str, expected_owner: Option<&str>) -> Bucket {
        Bucket {
            client: self.client.clone(),
            name: name.to_owned(),
            expected_owner: expected_owner.map(str::to_owned),
            timeouts: self.timeouts,
            addressing: self.addressing,
        }
    }
}

impl Aws {
    pub(crate) fn new(settings: AwsSettings, egress_policy: EgressPolicy, clock: Clock) -> Self {
        let timeouts = settings.timeouts;
        let restricted = |private| restricted_client(AddressPolicy { private }, timeouts);
        Self {
            context: AwsContext {
                http_client: unrestricted_client(settings.timeouts),
                settings,
            },
            egress_policy,
            private_client: restricted(true),
            public_client: restricted(false),
            sessions: Mutex::default(),
            uplinks: Mutex::default(),
            clock,
        }
    }

    pub(crate) fn context(&self) -> &AwsContext {
        &self.context
    }

    pub(crate) async fn s3(&self, profile: &AwsProfile, bucket: &str) -> Result<S3, AwsFailure> {
        let session = self.session(profile);
        let region = session.region_of(bucket).unwrap_or_else(|| profile.region.clone());
        let mut signed_in = session.sign_in(&self.context, profile).await?;
        Ok(self.signed_in(profile, &mut signed_in, region))
    }

    /// As [`Self::s3`], without waiting; `None` if that signs in first.
    pub(crate) fn s3_at_once(&self, profile: &AwsProfile, bucket: &str) -> Option<S3> {
        let session = self.session(profile);
        let region = session.region_of(bucket).unwrap_or_else(|| profile.region.clone());
        let mut signed_in = session.signed_in()?;
        Some(self.signed_in(profile, &mut signed_in, region))
    }

    fn signed_in(&self, profile: &AwsProfile, signed_in: &mut SignedIn, region: String) -> S3 {
        let SignedIn {
            credentials, clients, ..
        } = signed_in;
        let client = clients
            .entry(region.clone())
            .or_insert_with(|| self.s3_client(profile, credentials, &region))
            .clone();
        S3 {
            client,
            region,
            credentials: credentials.clone(),
            timeouts: self.context.settings.timeouts,
            addressing: Addressing::of(profile),
        }
    }

    pub(super) fn s3_client(&self, profile: &AwsProfile, credentials: &Credentials, region: &str) -> Client {
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.context.http_client.clone())
            .region(Region::new(region.to_owned()))
            .credentials_provider(without_expiry(credentials))
            .retry_config(RetryConfig::disabled())
            .timeout_config(self.context.settings.timeouts.config(0))
            .force_path_style(profile.path_style)
            // The ARN of an access point names its region.
            .use_arn_region(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(witness) = ClockWitness::of(&self.clock, profile.endpoint.as_deref()) {
            config = config.interceptor(witness);
        }
        if let Some(endpoint) = &profile.endpoint {
            config = config
                .endpoint_url(with_final_slash(endpoint))
                .http_client(self.restricted_client(&profile.account));
        }
        Client::from_conf(config.build())
    }

    fn restricted_client(&self, account: &str) -> SharedHttpClient {
        if self.egress_policy.of(account).private {
            self.private_client.clone()
        } else {
            self.public_client.clone()
        }
    }

    /// Discards the credentials that AWS refused, so that the next attempt signs in again.
    pub(crate) async fn sign_out(&self, profile: &AwsProfile) {
        self.session(profile).sign_out().await;
    }

    pub(crate) fn remember_region(&self, profile: &AwsProfile, bucket: &str, region: &str) -> bool {
        self.session(profile).remember_region(bucket, region)
    }

    /// Returns the line to the store of a profile, which all of its users share.
    pub(crate) fn uplink(&self, profile: &AwsProfile) -> Arc<Uplink> {
        const REMEMBERED: usize = 1_000;
        let mut uplinks = self.uplinks.lock().unwrap_or_else(PoisonError::into_inner);
        if uplinks.len() > REMEMBERED {
            uplinks.retain(|_, uplink| Arc::strong_count(uplink) > 1);
        }
        Arc::clone(uplinks.entry(profile.endpoint.clone()).or_default())
    }

    pub(crate) fn forget(&self, account_id: i64, identifier: &str) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.remove(&(account_id, identifier.to_owned()));
    }

    /// Returns the session of a profile; a new one after the profile was edited.
    fn session(&self, profile: &AwsProfile) -> Arc<Session> {
        let key = (profile.account_id, profile.identifier.clone());
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = sessions.get(&key)
            && session.version() == profile.version
        {
            return Arc::clone(session);
        }
        let session = Arc::new(Session::new(profile.version));
        sessions.insert(key, Arc::clone(&session));
        session
    }
}

/// Ends an endpoint with a slash: the SDK appends the bucket's name to its path.
fn with_final_slash(endpoint: &str) -> String {
    format!("{}/", endpoint.trim_end_matches('/'))
}
