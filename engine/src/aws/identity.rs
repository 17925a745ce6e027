//! The identity to which credentials belong.

use auditstream_model::FailureCode;
use aws_sdk_s3::config::Credentials;

use super::clients::Aws;
use super::failure::{AwsFailure, classify};
use super::profile::AwsProfile;
use super::sts::{not_sts, sts_client, sts_failure};

/// The proof that credentials are valid, if there is one.
pub(crate) enum Identity {
    /// AWS returned the ARN.
    Arn(String),
    /// The store listed this number of buckets.
    Buckets(usize),
    /// The store accepted the signature, but denies the list of buckets.
    NoBucketList,
    /// The store denies the list of buckets, and responds alike to a wrong signature.
    Unproven,
}

pub(crate) struct Identified {
    pub(crate) identity: Identity,
    /// The region that the store named; `None` if it accepts the profile's.
    pub(crate) region: Option<Box<str>>,
}

/// Proves that credentials are valid with one harmless call: STS GetCallerIdentity, or ListBuckets
/// for a custom endpoint, which has no STS.
pub(crate) async fn identify_credentials(
    aws: &Aws,
    profile: &AwsProfile,
    credentials: &Credentials,
) -> Result<Identified, AwsFailure> {
    if profile.endpoint.is_none() {
        let sts = sts_client(aws.context(), profile, Some(credentials));
        let response = sts.get_caller_identity().send().await;
        let response = response.map_err(|error| sts_failure(&error))?;
        let arn = response.arn().ok_or_else(not_sts)?;
        return Ok(Identified {
            identity: Identity::Arn(arn.to_owned()),
            region: None,
        });
    }
    match list_buckets(aws, profile, credentials, &profile.region).await {
        Err(AwsFailure {
            code: FailureCode::Region,
            region: Some(region),
            ..
        }) if *region != profile.region => Ok(Identified {
            identity: list_buckets(aws, profile, credentials, &region).await?,
            region: Some(region),
        }),
        identity => Ok(Identified {
            identity: identity?,
            region: None,
        }),
    }
}

async fn list_buckets(
    aws: &Aws,
    profile: &AwsProfile,
    credentials: &Credentials,
    region: &str,
) -> Result<Identity, AwsFailure> {
    let s3 = aws.s3_client(profile, credentials, region);
    let failure = match s3.list_buckets().send().await {
        Ok(response) => return Ok(Identity::Buckets(response.buckets().len())),
        Err(error) => classify(&error),
    };
    if failure.code != FailureCode::AccessDenied {
        return Err(failure);
    }
    let wrong = Credentials::new(
        credentials.access_key_id(),
        format!("{:032x}", rand::random::<u128>()),
        credentials.session_token().map(str::to_owned),
        None,
        "auditstream wrong signature",
    );
    let probe = aws.s3_client(profile, &wrong, region).list_buckets().send().await;
    let is_told_apart = probe.is_err_and(|error| classify(&error).code == FailureCode::Credentials);
    Ok(if is_told_apart {
        Identity::NoBucketList
    } else {
        Identity::Unproven
    })
}
