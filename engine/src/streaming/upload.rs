//! One conditional PUT, and what its answer means.

use std::fmt::Write as _;

use auditstream_model::{Compression, DestinationSpec, FailureCode, Format, ServerSideEncryption};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::encode;
use crate::aws::failure::{self, Cause, classify};
use crate::failpoint;

/// The object's user metadata: SHA-256 of the content before compression, hexadecimal.
const CONTENT_SHA256: &str = "content-sha256";

/// What is sent, and where.
pub(super) struct Object<'a> {
    pub(super) spec: &'a DestinationSpec,
    pub(super) key: String,
    pub(super) body: Bytes,
    pub(super) format: Format,
    pub(super) compression: Compression,
    pub(super) sha256: [u8; 32],
    /// Of the body.
    pub(super) checksum: String,
    /// Whether the answer of an earlier attempt was lost, so that the object may be ours.
    pub(super) in_doubt: bool,
}

/// The object is in the bucket; `verified` tells whether its content is known to be ours.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) verified: bool,
    /// What AWS calls the PUT.
    pub(super) request_id: Option<Box<str>>,
}

/// What a store checks the bytes by that it was sent.
pub(crate) fn checksum(body: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(body))
}

/// A PUT with everything that a destination's options ask for, on condition that there is no object of its name.
///
/// `checksum` is the base64 of the body's SHA-256 (see [`checksum`]).
pub(crate) fn request(
    client: &Client,
    spec: &DestinationSpec,
    key: &str,
    body: Bytes,
    checksum: &str,
) -> PutObjectFluentBuilder {
    let request = client
        .put_object()
        .bucket(spec.bucket.as_str())
        .key(key)
        .if_none_match("*")
        .checksum_sha256(checksum)
        .set_storage_class(spec.storage_class.as_deref().map(Into::into))
        .set_expected_bucket_owner(spec.expected_bucket_owner.clone())
        .body(ByteStream::from(body));
    match &spec.sse {
        ServerSideEncryption::None => request,
        ServerSideEncryption::Aes256 => request.server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::Aes256),
        ServerSideEncryption::Kms { kms_key_id } => request
            .server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms)
            .ssekms_key_id(kms_key_id),
    }
}

/// Sends an object unless there is one of its name, and says what became of it.
pub(super) async fn put(client: &Client, object: Object<'_>) -> Result<Delivered, Cause> {
    let answer = request(client, object.spec, &object.key, object.body.clone(), &object.checksum)
        .content_type(encode::content_type(object.format))
        .metadata(CONTENT_SHA256, hex(&object.sha256))
        .send()
        .await;
    let error = match answer {
        Ok(answer) => {
            return Ok(Delivered {
                verified: true,
                request_id: answer.request_id().map(Into::into),
            });
        }
        Err(error) => error,
    };
    let refused = located(client, object.spec, classify(&error)).await;
    match error.raw_response().map(|response| response.status().as_u16()) {
        Some(412 | 304) => {
            failpoint::reached("compare.beginning").await;
            let request_id = refused.request_id;
            let verified = compare(client, &object).await.map_err(|cause| Cause {
                request_id: cause.request_id.or_else(|| request_id.clone()),
                ..cause
            })?;
            Ok(Delivered { verified, request_id })
        }
        // A store may answer 412 before it has read the body and hang up, so that the answer is lost each time.
        None if object.in_doubt && is_broken_off(&error) => match compare(client, &object).await {
            Ok(true) => Ok(Delivered {
                verified: true,
                request_id: None,
            }),
            Err(cause) if cause.blocked => Err(cause),
            // That it may not be looked at proves nothing here: it may not be there.
            Ok(false) | Err(_) => Err(refused.at(object.spec)),
        },
        _ => Err(refused.at(object.spec)),
    }
}

/// Whether the connection ended while the request was sent or its answer awaited.
fn is_broken_off<E>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(error, SdkError::DispatchFailure(failure) if failure.is_io())
}

/// A wrong region with the right one, which the bucket tells to whoever asks.
pub(crate) async fn located(client: &Client, spec: &DestinationSpec, cause: Cause) -> Cause {
    if cause.code != FailureCode::Region {
        return cause;
    }
    let region = match cause.region.clone() {
        Some(region) => Some(region),
        None => match client.head_bucket().bucket(spec.bucket.as_str()).send().await {
            Ok(answer) => answer.bucket_region().map(Into::into),
            Err(error) => error.raw_response().and_then(failure::region),
        },
    };
    match region {
        Some(region) => cause.in_region(region, spec.bucket.as_str()),
        None => cause,
    }
}

/// There is an object of this name: ours, if its content is. Compressed by another version it has other bytes and is ours
/// all the same. Answers whether the content was seen.
async fn compare(client: &Client, object: &Object<'_>) -> Result<bool, Cause> {
    let spec = object.spec;
    let head = client
        .head_object()
        .bucket(spec.bucket.as_str())
        .key(&object.key)
        .set_expected_bucket_owner(spec.expected_bucket_owner.clone());
    let stored = match head.send().await {
        Ok(head) => head
            .metadata()
            .and_then(|metadata| metadata.get(CONTENT_SHA256))
            .cloned(),
        Err(error) => return unread(object, classify(&error)),
    };
    let expected = hex(&object.sha256);
    let found = match stored {
        Some(sha256) => sha256,
        None => match fetch(client, object).await {
            Ok(sha256) => sha256,
            Err(cause) => return unread(object, cause),
        },
    };
    if found == expected {
        return Ok(true);
    }
    Err(Cause::blocked(
        FailureCode::ObjectExists,
        format!(
            "Another object is already at {}: its content has the SHA-256 {found}, ours {expected}.",
            object.key
        ),
        "Find out who wrote it. Then send the batch under a new name, or move the object; streaming goes on at the next run.",
    ))
}

fn unread(object: &Object<'_>, cause: Cause) -> Result<bool, Cause> {
    match (cause.code, object.in_doubt) {
        // An attempt of ours may have stored it, and nobody else knows the name: delivered, but not seen.
        (FailureCode::AccessDenied, true) => Ok(false),
        (FailureCode::AccessDenied, false) => Err(Cause::blocked(
            FailureCode::ObjectExists,
            format!("An object is already at {} and may not be read.", object.key),
            "Allow s3:GetObject on this prefix so that it can be compared, or send the batch under a new name.",
        )),
        _ => Err(Cause {
            transient: true,
            in_doubt: object.in_doubt,
            ..cause
        }),
    }
}

async fn fetch(client: &Client, object: &Object<'_>) -> Result<String, Cause> {
    let get = client
        .get_object()
        .bucket(object.spec.bucket.as_str())
        .key(&object.key)
        .set_expected_bucket_owner(object.spec.expected_bucket_owner.clone())
        .send()
        .await
        .map_err(|error| classify(&error))?;
    let unreadable = |why: String| {
        Cause::blocked(
            FailureCode::ObjectExists,
            format!("Another object is already at {}: {why}", object.key),
            "Find out who wrote it. Then send the batch under a new name, or move the object.",
        )
    };
    let read = read_at_most(get.body, encode::CONTENT_LIMIT)
        .await
        .map_err(|error| Cause {
            transient: true,
            ..Cause::refused(
                FailureCode::Network,
                error.to_string(),
                "Nothing to do: it is tried again.",
                "The connection broke while an object was read.",
            )
        })?;
    let Some(body) = read else {
        return Err(unreadable("it is larger than any of ours.".to_owned()));
    };
    match encode::decompress(&body, object.compression) {
        Ok(content) => Ok(hex(&encode::sha256(&content))),
        Err(error) => Err(unreadable(format!("it cannot be decompressed: {error}."))),
    }
}

/// A body as far as it is no longer than `limit` bytes; none when it is. It may never end.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn read_at_most(mut body: ByteStream, limit: u64) -> Result<Option<Vec<u8>>, ByteStreamError> {
    let mut read = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        if (read.len() + chunk.len()) as u64 > limit {
            return Ok(None);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(Some(read))
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
