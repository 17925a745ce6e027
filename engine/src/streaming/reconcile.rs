//! The PUT of a batch, conditional or after a look. When an object with its key exists, decides
//! whose it is.

use auditstream_model::{Compression, DestinationSpec, FailureCode, Format};
use bytes::Bytes;

use super::content::on_blocking_thread;
use super::encode;
use super::failure::DeliveryFailure;
use crate::aws::AwsFailure;
use crate::aws::object::{Bucket, Condition, NewObject, Put, StoredObject};
use crate::destinations::object_key::content_type;
use crate::failpoint;

pub(super) struct Upload<'a> {
    pub(super) spec: &'a DestinationSpec,
    /// With the destination's prefix.
    pub(super) key: String,
    pub(super) body: Bytes,
    /// SHA-256 of the body.
    pub(super) body_sha256: [u8; 32],
    /// SHA-256 of the content before compression, in hexadecimal.
    pub(super) sha256: String,
    pub(super) format: Format,
    pub(super) compression: Compression,
    /// Bytes of the content before compression.
    pub(super) content_bytes: usize,
    pub(super) in_doubt: bool,
}

#[derive(Debug)]
pub(super) struct Delivered {
    /// Whether its content is known to be ours.
    pub(super) verified: bool,
    pub(super) request_id: Option<Box<str>>,
}

/// Looks for the object before a PUT without condition; `false` if the PUT has one.
pub(super) async fn look(bucket: &Bucket, upload: &Upload<'_>) -> Result<bool, DeliveryFailure> {
    if !upload.spec.unconditional_writes {
        return Ok(false);
    }
    let exists = bucket.exists(&upload.key).await;
    exists.map_err(|failure| with_policy_hint(failure, upload.spec).into())
}

/// Sends the object, unless it `exists`.
pub(super) async fn put(bucket: &Bucket, upload: &Upload<'_>, exists: bool) -> Result<Delivered, DeliveryFailure> {
    let condition = if upload.spec.unconditional_writes {
        Condition::LookFirst
    } else {
        Condition::IfAbsent
    };
    let object = NewObject {
        key: &upload.key,
        body: upload.body.clone(),
        sha256: upload.body_sha256,
        content_type: content_type(upload.format),
        content_sha256: Some(&upload.sha256),
        storage_class: upload.spec.storage_class.as_deref(),
        encryption: &upload.spec.sse,
    };
    let result = if exists {
        Ok(Put::Exists { request_id: None })
    } else {
        bucket.put_new(object, condition).await
    };
    let failure = match result {
        Ok(Put::Stored { request_id }) => {
            return Ok(Delivered {
                verified: true,
                request_id,
            });
        }
        Ok(Put::Exists { request_id }) => {
            failpoint::reached("compare.beginning").await;
            return match compare(bucket, upload).await {
                Ok(verified) => Ok(Delivered { verified, request_id }),
                Err(mut failure) => {
                    let id = &mut failure.failure.request_id;
                    *id = id.take().or(request_id.map(String::from));
                    Err(failure)
                }
            };
        }
        Err(failure) => failure,
    };
    // A store may respond 412 before it has read the body and close the connection, so that its
    // response is lost each time.
    if upload.in_doubt && failure.connection_lost {
        match compare(bucket, upload).await {
            Ok(true) => {
                return Ok(Delivered {
                    verified: true,
                    request_id: None,
                });
            }
            Err(failure) if failure.failure.blocked => return Err(failure),
            // That the object cannot be read proves nothing: it may not exist.
            Ok(false) | Err(_) => {}
        }
    }
    Err(with_policy_hint(failure, upload.spec).into())
}

/// Compares the object that has this key with ours. It is ours if its *uncompressed* content is the
/// same: another version of the compressor produces different bytes. Its metadata is the claim of
/// its writer, and proves nothing about bytes that were changed on the way. Returns whether the
/// content could be verified.
async fn compare(bucket: &Bucket, upload: &Upload<'_>) -> Result<bool, DeliveryFailure> {
    let described = match bucket.describe(&upload.key).await {
        // A store may close the connection after its 412, just as the client reuses it.
        Err(failure) if failure.connection_lost => bucket.describe(&upload.key).await,
        described => described,
    };
    let StoredObject { content_sha256, sha256 } = match described {
        Ok(described) => described,
        Err(failure) => return unreadable(upload, failure),
    };
    if let Some(found) = content_sha256.as_deref().filter(|found| *found != upload.sha256) {
        return Err(another_object(upload, found));
    }
    if sha256 == Some(upload.body_sha256) {
        return Ok(true);
    }
    let found = match bucket.read(&upload.key, body_limit(upload.content_bytes)).await {
        Ok(body) => sha256_of(upload, body).await?,
        // Its writer says that it is ours.
        Err(failure) if failure.code == FailureCode::AccessDenied && content_sha256.is_some() => return Ok(false),
        Err(failure) => return unreadable(upload, failure),
    };
    if found == upload.sha256 {
        return Ok(true);
    }
    Err(another_object(upload, &found))
}

fn another_object(upload: &Upload<'_>, found: &str) -> DeliveryFailure {
    DeliveryFailure::blocked(
        FailureCode::ObjectExists,
        format!(
            "Another object is already at {}: the SHA-256 of its content is {found}, ours is {}.",
            upload.key, upload.sha256
        ),
        "Find out which program wrote it. Then send the batch under a new name, or move the object; streaming resumes \
         with the next run.",
    )
}

/// Decides about an object that cannot be read. If its key was sent before, one of our attempts may
/// have stored it, and no other program knows the key: it is delivered, but not verified.
fn unreadable(upload: &Upload<'_>, failure: AwsFailure) -> Result<bool, DeliveryFailure> {
    match (failure.code, upload.in_doubt) {
        (FailureCode::AccessDenied, true) => Ok(false),
        (FailureCode::AccessDenied, false) => Err(DeliveryFailure::blocked(
            FailureCode::ObjectExists,
            format!(
                "An object is already at {}, and the credentials do not permit reading it.",
                upload.key
            ),
            "Allow s3:GetObject on this prefix so that it can be compared, or send the batch under a new name.",
        )),
        _ => Err(DeliveryFailure {
            transient: true,
            in_doubt: upload.in_doubt,
            ..failure.into()
        }),
    }
}

/// Returns more bytes than any compressor needs for a content of `bytes`: what cannot be compressed
/// grows by less than a thousandth.
fn body_limit(bytes: usize) -> u64 {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    bytes.saturating_add(bytes / 100).saturating_add(4096)
}

/// `body` is `None` if it is too large to be ours.
async fn sha256_of(upload: &Upload<'_>, body: Option<Vec<u8>>) -> Result<String, DeliveryFailure> {
    let foreign = |reason: &str| {
        DeliveryFailure::blocked(
            FailureCode::ObjectExists,
            format!("Another object is already at {}: {reason}.", upload.key),
            "Find out which program wrote it. Then send the batch under a new name, or move the object.",
        )
    };
    let Some(body) = body else {
        return Err(foreign("it is larger than this batch"));
    };
    // One more byte than ours gives another hash.
    let (compression, limit) = (upload.compression, upload.content_bytes.saturating_add(1));
    let hash = on_blocking_thread(move || Ok(encode::content_sha256(&body, compression, limit))).await;
    match hash.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
        Ok(sha256) => Ok(encode::hex(&sha256)),
        Err(error) => Err(foreign(&format!("it cannot be decompressed: {error}"))),
    }
}

fn with_policy_hint(failure: AwsFailure, spec: &DestinationSpec) -> AwsFailure {
    if failure.code != FailureCode::AccessDenied || failure.kms_denied {
        return failure;
    }
    let look = if spec.unconditional_writes {
        " Without conditional writes a HEAD request looks for each object first, which requires s3:GetObject on the \
         prefix and s3:ListBucket on the bucket."
    } else {
        ""
    };
    AwsFailure {
        hint: format!(
            "Please check the credentials: their policy must allow s3:PutObject on {}/{}*, and the bucket's policy \
             must not deny it. The bucket check lists every missing permission.{look}",
            spec.bucket.as_str(),
            spec.prefix.as_str()
        ),
        ..failure
    }
}
