//! The first steps: reach the store, sign in, and find the bucket's region.

use auditstream_model::FailureCode;

use super::{AFTER_CREDENTIALS, AFTER_REACH, AFTER_REGION, CREDENTIALS, Check, REACH, REGION};
use crate::aws::identity::{Identified, identify_credentials};
use crate::aws::object::Bucket;
use crate::aws::{AwsFailure, S3};
use crate::connectors::test_steps::describe;

impl Check<'_> {
    pub(super) async fn find_bucket(&mut self) -> Option<Bucket> {
        let (s3, identified) = match self.sign_in().await {
            Ok(signed_in) => signed_in,
            Err(failure) => {
                self.steps.skip(&[REACH]);
                self.steps.fail(CREDENTIALS, &failure);
                self.steps.skip(AFTER_CREDENTIALS);
                return None;
            }
        };
        let located = self.bucket(&s3).locate().await;
        match &located {
            Err(failure) if !failure.responded => {
                self.steps.fail(REACH, failure);
                self.steps.skip(AFTER_REACH);
                return None;
            }
            _ => self.steps.pass(REACH, "The store responded."),
        }
        self.check_credentials(identified).await?;
        match located {
            Ok(region) => self.enter_region(s3, region).await,
            Err(failure) => self.region_not_found(&failure),
        }
    }

    /// Returns a client, and whose credentials it has. Signs in again if they were refused and
    /// others are available.
    async fn sign_in(&self) -> Result<(S3, Result<Identified, AwsFailure>), AwsFailure> {
        let (aws, profile, bucket) = (self.aws, self.profile, self.spec.bucket.as_str());
        let mut s3 = aws.s3(profile, bucket).await?;
        let mut identified = identify_credentials(aws, profile, &s3.credentials).await;
        if profile.can_renew() && is_refused(&identified) {
            aws.sign_out(profile).await;
            s3 = aws.s3(profile, bucket).await?;
            identified = identify_credentials(aws, profile, &s3.credentials).await;
        }
        if let Ok(Identified {
            region: Some(region), ..
        }) = &identified
        {
            aws.remember_region(profile, bucket, region);
            s3 = aws.s3(profile, bucket).await?;
        }
        Ok((s3, identified))
    }

    fn bucket(&self, s3: &S3) -> Bucket {
        s3.bucket(self.spec.bucket.as_str(), self.spec.expected_bucket_owner.as_deref())
    }

    /// Returns `None` if the credentials are invalid.
    async fn check_credentials(&mut self, identified: Result<Identified, AwsFailure>) -> Option<()> {
        let is_store = self.profile.endpoint.is_some();
        match identified {
            Ok(found) => self.steps.pass(CREDENTIALS, describe(&found, &self.profile.region)),
            Err(failure)
                if matches!(failure.code, FailureCode::Credentials | FailureCode::ClockSkew)
                    || (is_store && matches!(failure.code, FailureCode::NotS3 | FailureCode::Tls)) =>
            {
                self.aws.sign_out(self.profile).await;
                self.steps.fail(CREDENTIALS, &failure);
                self.steps.skip(AFTER_CREDENTIALS);
                return None;
            }
            // Streaming needs neither STS nor the list of buckets: the next steps will show.
            Err(failure) => {
                let note = format!(
                    "Note: could not determine whose credentials these are. {}",
                    failure.message
                );
                self.steps.pass(CREDENTIALS, note);
            }
        }
        Some(())
    }

    /// Returns the bucket with a client of its region. `region` is `None` if the store does not
    /// name it.
    async fn enter_region(&mut self, s3: S3, region: Option<Box<str>>) -> Option<Bucket> {
        let bucket = self.spec.bucket.as_str();
        let s3 = match region {
            Some(region) if *region != s3.region => {
                self.aws.remember_region(self.profile, bucket, &region);
                self.region = region.into_string();
                match self.aws.s3(self.profile, bucket).await {
                    Ok(s3) => s3,
                    Err(failure) => return self.region_not_found(&failure),
                }
            }
            _ => s3,
        };
        self.region.clone_from(&s3.region);
        let found = describe_region(bucket, &s3.region, &self.profile.region);
        self.steps.pass(REGION, found);
        Some(self.bucket(&s3))
    }

    fn region_not_found(&mut self, failure: &AwsFailure) -> Option<Bucket> {
        self.steps.fail(REGION, failure);
        self.steps.skip(AFTER_REGION);
        None
    }
}

fn is_refused(identified: &Result<Identified, AwsFailure>) -> bool {
    matches!(identified, Err(failure) if failure.code == FailureCode::Credentials)
}

fn describe_region(bucket: &str, region: &str, connector_region: &str) -> String {
    if region == connector_region {
        format!("{bucket} is in {region}.")
    } else {
        format!(
            "Note: {bucket} is in {region}; the connector's region is {connector_region}. Auditstream writes to \
             {region} nevertheless; set the connector's region to {region}."
        )
    }
}
