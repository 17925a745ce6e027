//! The operations on a bucket.

use auditstream_model::{FailureCode, ServerSideEncryption};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption as S3Encryption};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;

use super::addressing::Addressing;
use super::failure::{AwsFailure, classify};
use super::hashed_payload::HashedPayload;
use super::hint::region_hint;
use super::meaning::{CONDITION, NO_SUCH_BUCKET, NOT_S3};
use super::response::bucket_region;
use super::settings::Timeouts;

/// The remedy for a store without conditional writes.
pub(crate) const CONDITION_HINT: &str = CONDITION.hint;

/// The user metadata with the SHA-256 of the content before compression, in hexadecimal.
const CONTENT_SHA256: &str = "content-sha256";

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
    /// The AWS account that must own the bucket.
    pub(super) expected_owner: Option<String>,
    pub(super) timeouts: Timeouts,
    pub(super) addressing: Addressing,
}

#[derive(Clone, Debug)]
pub(crate) struct NewObject<'a> {
    pub(crate) key: &'a str,
    pub(crate) body: Bytes,
    /// SHA-256 of the body. The request is signed with it, and the store verifies it.
    pub(crate) sha256: [u8; 32],
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

/// The store's description of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredObject {
    /// The digest of the content in its metadata: the writer's claim.
    pub(crate) content_sha256: Option<String>,
    /// SHA-256 of the bytes, as computed by the store; `None` if it does not report one.
    pub(crate) sha256: Option<[u8; 32]>,
}

/// The condition of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `If-None-Match`: the store refuses to overwrite.
    IfAbsent,
    /// None. The caller looks for the object first, and another client may write in between.
    LookFirst,
}

impl Bucket {
    /// Writes an object unless one has its key.
    pub(crate) async fn put_new(&self, object: NewObject<'_>, condition: Condition) -> Result<Put, AwsFailure> {
        let timeouts = self.timeouts.config(object.body.len() as u64);
        let checksum = BASE64_STANDARD.encode(object.sha256);
        let request = self
            .client
            .put_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(object.key)
            .set_if_none_match((condition == Condition::IfAbsent).then(|| "*".to_owned()))
            .checksum_sha256(&checksum)
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
        let request = request
            .customize()
            .interceptor(HashedPayload::new(object.sha256))
            .config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts));
        match request.send().await {
            Ok(response) => {
                self.require_e_tag(response.e_tag())?;
                if let Some(stored) = response.checksum_sha256().filter(|stored| *stored != checksum) {
                    return Err(other_bytes(stored, &checksum));
                }
                Ok(Put::Stored {
                    request_id: response.request_id().map(Into::into),
                })
            }
            Err(error) => {
                let failure = self.classify(&error);
                match error.raw_response().map(|response| response.status().as_u16()) {
                    Some(412 | 304) => Ok(Put::Exists {
                        request_id: failure.request_id,
                    }),
                    _ => Err(self.with_region(failure).await),
                }
            }
        }
    }

    /// Returns whether an object has this key.
    pub(crate) async fn exists(&self, key: &str) -> Result<bool, AwsFailure> {
        let failure = match self.head(key, None).await {
            Ok(_) => return Ok(true),
            Err(failure) => failure,
        };
        match failure.code {
            FailureCode::NotFound | FailureCode::NoSuchBucket => Ok(false),
            _ => Err(AwsFailure {
                in_doubt: false,
                ..self.with_region(failure).await
            }),
        }
    }

    /// Describes an object. The checksum of an encrypted one requires `kms:Decrypt`, and is left
    /// out without it.
    pub(crate) async fn describe(&self, key: &str) -> Result<StoredObject, AwsFailure> {
        let response = match self.head(key, Some(ChecksumMode::Enabled)).await {
            Err(failure) if failure.code == FailureCode::AccessDenied => self.head(key, None).await?,
            response => response?,
        };
        let metadata = response.metadata();
        Ok(StoredObject {
            content_sha256: metadata.and_then(|metadata| metadata.get(CONTENT_SHA256)).cloned(),
            sha256: response.checksum_sha256().and_then(decode_sha256),
        })
    }

    async fn head(&self, key: &str, checksum: Option<ChecksumMode>) -> Result<HeadObjectOutput, AwsFailure> {
        let request = self
            .client
            .head_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .set_checksum_mode(checksum)
            .key(key);
        let response = request.send().await.map_err(|error| self.classify(&error))?;
        self.require_e_tag(response.e_tag())?;
        Ok(response)
    }

    /// Returns the bytes of an object; `None` if there are more than `limit`.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, AwsFailure> {
        let request = self
            .client
            .get_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(key);
        let response = request.send().await.map_err(|error| self.classify(&error))?;
        self.require_e_tag(response.e_tag())?;
        let broken = |message: String| AwsFailure {
            transient: true,
            ..AwsFailure::refused(
                FailureCode::Network,
                message,
                "Try again. While streaming, it is retried automatically.",
                "The connection broke while an object was being read.",
            )
        };
        match tokio::time::timeout(self.timeouts.upload(limit), read_at_most(response.body, limit)).await {
            Ok(read) => read.map_err(|error| broken(error.to_string())),
            Err(_) => Err(broken("The object could not be read in time.".to_owned())),
        }
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), AwsFailure> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .key(key);
        request.send().await.map(drop).map_err(|error| self.classify(&error))
    }

    /// Returns up to 1,000 keys with a prefix, in order: those after `after`, or after the page
    /// that returned `token`. The second value is the next page's token; `None` if this is the last
    /// page.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        after: &str,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), AwsFailure> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.name)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .prefix(prefix)
            .start_after(after)
            .set_continuation_token(token);
        let response = request.send().await.map_err(|error| classify(&error))?;
        let next = response.next_continuation_token().map(str::to_owned);
        let keys = response.contents.unwrap_or_default().into_iter();
        Ok((keys.filter_map(|object| object.key).collect(), next))
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
        let failure = self.classify(&error);
        if failure.code == FailureCode::NotS3 {
            return Err(failure);
        }
        // The response to a HEAD request has no body: the status is all there is.
        let status = error.raw_response().map(|response| response.status().as_u16());
        match (status, error.raw_response().and_then(bucket_region)) {
            (Some(404), _) => Err(self.addressing.explain(AwsFailure::refused(
                NO_SUCH_BUCKET.code,
                format!("There is no bucket {}.", self.name),
                NO_SUCH_BUCKET.hint,
                NO_SUCH_BUCKET.explanation,
            ))),
            (Some(_), Some(region)) => Ok(Some(region)),
            // The credentials do not permit listing, which streaming does not need.
            (Some(403), None) => Ok(None),
            _ => Err(failure),
        }
    }

    fn classify<E>(&self, error: &SdkError<E, HttpResponse>) -> AwsFailure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.addressing.explain(classify(error))
    }

    /// Every store gives an ETag to an object. Without one, something else responded.
    fn require_e_tag(&self, e_tag: Option<&str>) -> Result<(), AwsFailure> {
        if e_tag.is_some_and(|e_tag| !e_tag.trim_matches(['"', ' ']).is_empty()) {
            return Ok(());
        }
        Err(self.addressing.explain(AwsFailure {
            responded: false,
            in_doubt: true,
            ..AwsFailure::refused(
                NOT_S3.code,
                "This is not an answer of S3: it reports success without an ETag.",
                NOT_S3.hint,
                NOT_S3.explanation,
            )
        }))
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
            Some(region) => AwsFailure {
                message: format!("{} The bucket {} is in {region}.", failure.message, self.name),
                hint: region_hint(&region),
                region: Some(region),
                ..failure
            },
            None => failure,
        }
    }
}

/// Returns `None` for anything but 32 bytes in base64.
fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

fn other_bytes(stored: &str, sent: &str) -> AwsFailure {
    AwsFailure {
        in_doubt: true,
        transient: true,
        ..AwsFailure::refused(
            FailureCode::Server,
            format!("The store reports the SHA-256 {stored} for bytes whose SHA-256 is {sent}."),
            "It is retried, and the object is then compared. Check the proxies between this server and the store.",
            "The store stored other bytes than those that were sent.",
        )
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
