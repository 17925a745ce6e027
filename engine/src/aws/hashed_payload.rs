//! The hash of a payload that is computed before its request begins. The SDK would hash the body
//! when it signs, inside the first poll of the request: the PUT of a batch is begun while its
//! destination's row, and with SQLite the whole database, is locked.

use std::fmt::Write as _;

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};

/// Signs a request with the hash of its payload.
#[derive(Debug)]
pub(super) struct HashedPayload {
    /// In hexadecimal.
    sha256: String,
}

impl HashedPayload {
    pub(super) fn new(sha256: [u8; 32]) -> Self {
        let mut text = String::with_capacity(64);
        for byte in sha256 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self { sha256: text }
    }
}

impl Intercept for HashedPayload {
    fn name(&self) -> &'static str {
        "HashedPayload"
    }

    fn modify_before_signing(
        &self,
        _: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let sha256 = PayloadSigningOverride::Precomputed(self.sha256.clone());
        config.interceptor_state().store_put(sha256);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use auditstream_testkit::responder::{Reply, Responder};
    use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation};
    use aws_sdk_s3::primitives::ByteStream;

    use super::*;
    use crate::aws::Timeouts;
    use crate::aws::http_client::unrestricted_client;

    #[tokio::test]
    async fn a_request_is_signed_with_the_hash_that_was_computed_before_it() {
        let server = Responder::start(|_| Reply::new(200, "")).await;
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(unrestricted_client(Timeouts::default()))
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url(&server.endpoint)
            .force_path_style(true)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .build();
        let request = aws_sdk_s3::Client::from_conf(config).put_object();
        let request = request.bucket("b").key("k").body(ByteStream::from_static(b"body"));
        let hashed = HashedPayload::new([7; 32]);
        request.customize().interceptor(hashed).send().await.unwrap();
        let requests = server.requests();
        assert_eq!(
            requests[0].header("x-amz-content-sha256"),
            Some("07".repeat(32).as_str()),
            "the body itself was not hashed"
        );
    }
}
