//! The object that a bucket check writes, reads and deletes.

use auditstream_model::{DestinationSpec, FailureCode};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::aws::AwsFailure;
use crate::aws::object::{Bucket, Condition, NewObject, Put};

pub(super) const BODY: &str = "Auditstream wrote this object to check its permissions. It can be deleted.\n";

const LIMIT: u64 = 1_024;

/// Returns the key; outside of `account=`.
pub(super) fn key(spec: &DestinationSpec) -> String {
    format!("{}.auditstream-check", spec.prefix.as_str())
}

pub(super) fn random_key(spec: &DestinationSpec) -> String {
    format!("{}-{:016x}", key(spec), rand::random::<u64>())
}

pub(super) enum Written {
    New,
    Exists,
}

pub(super) async fn write(
    bucket: &Bucket,
    spec: &DestinationSpec,
    key: &str,
    condition: Condition,
) -> Result<Written, AwsFailure> {
    let object = NewObject {
        key,
        body: Bytes::from_static(BODY.as_bytes()),
        sha256: Sha256::digest(BODY.as_bytes()).into(),
        content_type: "text/plain",
        content_sha256: None,
        storage_class: spec.storage_class.as_deref(),
        encryption: &spec.sse,
    };
    match bucket.put_new(object, condition).await {
        Ok(Put::Stored { .. }) => Ok(Written::New),
        Ok(Put::Exists { .. }) => Ok(Written::Exists),
        Err(failure) if failure.code == FailureCode::Conflict => Ok(Written::Exists),
        Err(failure) => Err(failure),
    }
}

pub(super) async fn is_intact(bucket: &Bucket, key: &str) -> Result<bool, AwsFailure> {
    let body = bucket.read(key, LIMIT).await?;
    Ok(body.is_some_and(|body| body == BODY.as_bytes()))
}
