//! The operations on a bucket.

use auditstream_model::{FailureCode, ServerSideEncryption};
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_sdk_s3::types::ServerSideEncryption as S3Encryption;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::error_table::NO_SUCH_BUCKET;
use super::failure::{AwsFailure, bucket_region, classify};

/// The user metadata with the SHA-256 of the content before compression, in hexadecimal.
const CONTENT_SHA256: &str = "content-sha256";

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    client: Client,
    name: String,
    /// The AWS account that must own the bucket.
    expected_owner: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct NewObject<'a> {
    pub(crate) key: &'a str,
    pub(crate) body: Bytes,
    /// Of the body, by [`checksum`]; the store verifies it.
    pub(crate) checksum: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) content_sha256: Option<&'a str>,
    pub(crate) storage_class: Option<&'a str>,
    pub(crate) encryption: &'a ServerSideEncryption,
}

/// The result of a conditional PUT that the store processed.
#[derive(Debug)]
pub(crate) enum Put {
    Stored {
        request_id: Option<Box<str>>,
    },
    /// Another object has this key; nothing was written.
    Exists {
        request_id: Option<Box<str>>,
    },
}

/// Returns the base64 SHA-256 by which a store verifies the bytes that it received.
pub(crate) fn checksum(body: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(body))
}

impl Bucket {
    pub(super) fn new(client: Client, name: &str, expected_owner: Option<&str>) -> Self {
        Self {
            client,
            name: name.to_owned(),
            expected_owner: expected_owner.map(str::to_owned),
        }
    }

    pub(crate) async fn put_if_absent(&self, object: NewObject<'_>) -> Result<Put, AwsFailure> {
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(object.key)
            .if_none_match("*")
            .checksum_sha256(object.checksum)
            .content_type(object.content_type)
            .set_storage_class(object.storage_class.map(Into::into))
            .body(ByteStream::from(object.body));
        let request = match object.content_sha256 {
            Some(sha256) => request.metadata(CONTENT_SHA256, sha256),
            None => request,
        };
        let request = match object.encryption {
            ServerSideEncryption::None => request,
            ServerSideEncryption::Aes256 => request.server_side_encryption(S3Encryption::Aes256),
            ServerSideEncryption::Kms { kms_key_id } => request
                .server_side_encryption(S3Encryption::AwsKms)
                .ssekms_key_id(kms_key_id),
        };
        match request.send().await {
            Ok(response) => Ok(Put::Stored {
                request_id: response.request_id().map(Into::into),
            }),
            Err(error) => {
                let failure = classify(&error);
                match error.raw_response().map(|response| response.status().as_u16()) {
                    Some(412 | 304) => Ok(Put::Exists {
                        request_id: failure.request_id,
                    }),
                    _ => Err(self.with_region(failure).await),
                }
            }
        }
    }

    /// Returns the digest of the content of an object; `None` if its metadata has none.
    pub(crate) async fn content_digest(&self, key: &str) -> Result<Option<String>, AwsFailure> {
        let request = self
            .client
            .head_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(key);
        let response = request.send().await.map_err(|error| classify(&error))?;
        Ok(response
            .metadata()
            .and_then(|metadata| metadata.get(CONTENT_SHA256))
            .cloned())
    }

    /// Returns the bytes of an object; `None` if there are more than `limit`.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, AwsFailure> {
        let request = self
            .client
            .get_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(key);
        let response = request.send().await.map_err(|error| classify(&error))?;
        read_at_most(response.body, limit).await.map_err(|error| AwsFailure {
            transient: true,
            ..AwsFailure::refused(
                FailureCode::Network,
                error.to_string(),
                "Try again. While streaming, it is retried automatically.",
                "The connection broke while an object was being read.",
            )
        })
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), AwsFailure> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(key);
        request.send().await.map(drop).map_err(|error| classify(&error))
    }

    /// Returns the region of the bucket; `None` if the store does not name it.
    pub(crate) async fn locate(&self) -> Result<Option<Box<str>>, AwsFailure> {
        let request = self
            .client
            .head_bucket()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone());
        let error = match request.send().await {
            Ok(response) => return Ok(response.bucket_region().map(Into::into)),
            Err(error) => error,
        };
        // The response to a HEAD request has no body: the status is all there is.
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (status, error.raw_response().and_then(bucket_region)) {
            (Some(404), _) => Err(AwsFailure::refused(
                NO_SUCH_BUCKET.code,
                format!("There is no bucket {}.", self.name),
                NO_SUCH_BUCKET.hint,
                NO_SUCH_BUCKET.explanation,
            )),
            (Some(_), Some(region)) => Ok(Some(region)),
            // The credentials do not permit listing, which streaming does not need.
            (Some(403), None) => Ok(None),
            _ => Err(classify(&error)),
        }
    }

    async fn with_region(&self, failure: AwsFailure) -> AwsFailure {
        if failure.code != FailureCode::Region {
            return failure;
        }
        let region = match failure.region.clone() {
            Some(region) => Some(region),
            None => self.locate().await.ok().flatten(),
        };
        match region {
            Some(region) => failure.in_region(region, &self.name),
            None => failure,
        }
    }
}

/// Reads a body; `None` if it has more than `limit` bytes. It may be endless.
async fn read_at_most(mut body: ByteStream, limit: u64) -> Result<Option<Vec<u8>>, ByteStreamError> {
    let mut read = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        if (read.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(Some(read))
}
