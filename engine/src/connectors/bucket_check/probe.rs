//! The object that a bucket check writes, reads and deletes.

use auditstream_model::{DestinationSpec, FailureCode};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use bytes::Bytes;

use crate::aws::failure::{Cause, classify};
use crate::streaming::upload;

/// What it holds.
pub(super) const BODY: &str = "Auditstream wrote this object to check that it may. It can be deleted.\n";

/// Its key; outside `account=`.
pub(super) fn key(spec: &DestinationSpec) -> String {
    format!("{}.auditstream-check", spec.prefix.as_str())
}

/// A key that no other check has.
pub(super) fn own_key(spec: &DestinationSpec) -> String {
    format!("{}-{:016x}", key(spec), rand::random::<u64>())
}

/// What became of a conditional PUT that the store took.
pub(super) enum Written {
    New,
    /// The condition was not met.
    WasThere,
}

/// Writes the probe unless it is there.
pub(super) async fn write(client: &Client, spec: &DestinationSpec, key: &str) -> Result<Written, Cause> {
    let body = Bytes::from_static(BODY.as_bytes());
    let checksum = upload::checksum(&body);
    let request = upload::request(client, spec, key, body, &checksum).content_type("text/plain");
    match request.send().await {
        Ok(_) => Ok(Written::New),
        Err(error) if matches!(status(&error), Some(412 | 304 | 409)) => Ok(Written::WasThere),
        Err(error) => Err(upload::located(client, spec, classify(&error)).await),
    }
}

/// Bytes of a probe, at most.
const LIMIT: u64 = 1_024;

/// Reads what is there.
pub(super) async fn read(client: &Client, spec: &DestinationSpec, key: &str) -> Result<Vec<u8>, Cause> {
    let get = client
        .get_object()
        .bucket(spec.bucket.as_str())
        .key(key)
        .set_expected_bucket_owner(spec.expected_bucket_owner.clone());
    let answer = get.send().await.map_err(|error| classify(&error))?;
    let read = upload::read_at_most(answer.body, LIMIT).await.map_err(|error| {
        Cause::refused(
            FailureCode::Network,
            error.to_string(),
            "Check again.",
            "The connection broke while the object was read.",
        )
    })?;
    // What is longer is not what was written.
    Ok(read.unwrap_or_default())
}

/// Deletes the probe.
pub(super) async fn delete(client: &Client, spec: &DestinationSpec, key: &str) -> Result<(), Cause> {
    let delete = client
        .delete_object()
        .bucket(spec.bucket.as_str())
        .key(key)
        .set_expected_bucket_owner(spec.expected_bucket_owner.clone());
    delete.send().await.map(drop).map_err(|error| classify(&error))
}

/// The HTTP status, if anything was answered.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}
