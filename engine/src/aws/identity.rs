//! The identity to which credentials belong.

use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::clients::Aws;
use super::failure::{AwsFailure, classify};
use super::profile::AwsProfile;
use super::sts::sts_client;

/// The proof that credentials are valid.
pub(crate) enum Identity {
    /// AWS returned the ARN; `None` if its response lacks one.
    Arn(Option<String>),
    /// The store listed this number of buckets.
    Buckets(usize),
    /// The store accepted the signature, but denies the list of buckets.
    NoBucketList,
}

/// Proves that credentials are valid with one harmless call: STS GetCallerIdentity, or ListBuckets
/// for a custom endpoint, which has no STS.
pub(crate) async fn identify_credentials(
    aws: &Aws,
    profile: &AwsProfile,
    credentials: &Credentials,
) -> Result<Identity, AwsFailure> {
    if profile.endpoint.is_none() {
        let sts = sts_client(aws.context(), profile, Some(credentials));
        let response = sts.get_caller_identity().send().await;
        let response = response.map_err(|error| classify(&error))?;
        return Ok(Identity::Arn(response.arn().map(str::to_owned)));
    }
    let s3 = aws.s3_client(profile, credentials, &profile.region);
    match s3.list_buckets().send().await {
        Ok(response) => Ok(Identity::Buckets(response.buckets().len())),
        Err(SdkError::ServiceError(error)) if error.err().code() == Some("AccessDenied") => Ok(Identity::NoBucketList),
        Err(error) => Err(classify(&error)),
    }
}
