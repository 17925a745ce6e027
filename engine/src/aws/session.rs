//! The credentials of one profile, and the regions of its buckets, for as long as the profile stays
//! unchanged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use auditstream_model::FailureCode;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use tokio::sync::{MappedMutexGuard, Mutex as AsyncMutex, MutexGuard};

use super::context::AwsContext;
use super::credentials;
use super::failure::AwsFailure;
use super::profile::AwsProfile;

#[derive(Debug)]
pub(super) struct Session {
    version: [u8; 32],
    gate: AsyncMutex<SignInGate>,
    /// Buckets in another region than the profile's.
    regions: Mutex<HashMap<String, String>>,
}

/// Lets one task sign in at a time.
#[derive(Debug, Default)]
struct SignInGate {
    signed_in: Option<SignedIn>,
    /// The last failure and its time. Tasks that were waiting for this sign-in return it instead of
    /// retrying.
    last_failure: Option<(Instant, AwsFailure)>,
}

#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) credentials: Credentials,
    pub(super) clients: HashMap<String, Client>,
    /// When to renew the credentials; `None` for those of an access key.
    renew_at: Option<Instant>,
    /// When they expire; `None` if they do not.
    expires_at: Option<Instant>,
}

/// Between two attempts to renew credentials that are still valid.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

impl Session {
    pub(super) fn new(version: [u8; 32]) -> Self {
        Self {
            version,
            gate: AsyncMutex::default(),
            regions: Mutex::default(),
        }
    }

    pub(super) fn version(&self) -> [u8; 32] {
        self.version
    }

    pub(super) async fn sign_in(
        &self,
        context: &AwsContext,
        profile: &AwsProfile,
    ) -> Result<MappedMutexGuard<'_, SignedIn>, AwsFailure> {
        let requested = Instant::now();
        let mut gate = self.gate.lock().await;
        if !gate.signed_in.as_ref().is_some_and(SignedIn::is_fresh) {
            if let Some((at, failure)) = &gate.last_failure
                && *at >= requested
            {
                return Err(failure.clone());
            }
            gate.renew(context, profile).await?;
        }
        MutexGuard::try_map(gate, |gate| gate.signed_in.as_mut())
            .map_err(|_| AwsFailure::refused(FailureCode::Credentials, "Not signed in.", "", ""))
    }

    /// Returns fresh credentials; `None` if no credentials are fresh, or another caller is signing
    /// in.
    pub(super) fn signed_in(&self) -> Option<MappedMutexGuard<'_, SignedIn>> {
        let gate = self.gate.try_lock().ok()?;
        let fresh = MutexGuard::try_map(gate, |gate| gate.signed_in.as_mut()).ok()?;
        fresh.is_fresh().then_some(fresh)
    }

    pub(super) async fn sign_out(&self) {
        self.gate.lock().await.signed_in = None;
    }

    pub(super) fn region_of(&self, bucket: &str) -> Option<String> {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.get(bucket).cloned()
    }

    /// Remembers the region of a bucket. Returns whether it is new.
    pub(super) fn remember_region(&self, bucket: &str, region: &str) -> bool {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(bucket.to_owned(), region.to_owned()).as_deref() != Some(region)
    }
}

impl SignInGate {
    /// Signs in. Keeps credentials that are about to expire only while STS cannot be reached: a
    /// refusal may mean that the role was revoked.
    async fn renew(&mut self, context: &AwsContext, profile: &AwsProfile) -> Result<(), AwsFailure> {
        match credentials::sign_in(context, profile).await {
            Ok(credentials) => {
                self.signed_in = Some(SignedIn::new(profile, credentials));
                Ok(())
            }
            Err(failure) if failure.transient && self.signed_in.as_ref().is_some_and(SignedIn::is_valid) => {
                tracing::warn!(
                    message = failure.message,
                    "cannot renew credentials ahead of time; using the current ones until they expire"
                );
                // Not at every call meanwhile, each of which would wait for STS.
                if let Some(signed_in) = &mut self.signed_in {
                    let later = Instant::now() + RENEWAL_PAUSE;
                    signed_in.renew_at = Some(signed_in.expires_at.map_or(later, |end| later.min(end)));
                }
                Ok(())
            }
            Err(failure) => {
                self.signed_in = None;
                self.last_failure = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }
}

impl SignedIn {
    /// Temporary credentials are renewed five minutes before they expire, or after two thirds of a
    /// short life; those of the host that do not expire, after 15 minutes.
    fn new(profile: &AwsProfile, credentials: Credentials) -> Self {
        const AHEAD: Duration = Duration::from_secs(300);
        const LOOK_AGAIN: Duration = Duration::from_secs(900);
        let life = credentials
            .expiry()
            .map(|expiry| expiry.duration_since(SystemTime::now()).unwrap_or_default());
        let fresh_for = match life {
            Some(life) => Some(life - AHEAD.min(life / 3)),
            None => profile.uses_host().then_some(LOOK_AGAIN),
        };
        let now = Instant::now();
        Self {
            credentials,
            clients: HashMap::new(),
            renew_at: fresh_for.map(|duration| now + duration),
            expires_at: life.map(|life| now + life),
        }
    }

    fn is_fresh(&self) -> bool {
        self.renew_at.is_none_or(|renew_at| Instant::now() < renew_at)
    }

    fn is_valid(&self) -> bool {
        self.expires_at.is_none_or(|expires_at| Instant::now() < expires_at)
    }
}
