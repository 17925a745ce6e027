//! Why a delivery failed.

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::wire_names::wire_names;

wire_names! {
    /// The kinds of failure.
    pub enum FailureCode {
        /// The access key, secret or token is invalid, has expired, or could not be used.
        Credentials = "credentials",
        /// The credentials lack a permission.
        AccessDenied = "access_denied",
        /// The bucket does not exist.
        NoSuchBucket = "no_such_bucket",
        /// The store returned 404 without naming the bucket.
        NotFound = "not_found",
        /// The bucket is in another region than the connector's.
        Region = "region",
        /// The store asked to be called less often.
        Throttling = "throttling",
        /// The store could not be reached, or its response was lost.
        Network = "network",
        /// The store had an internal error.
        Server = "server",
        /// The clocks of this server and of AWS are too far apart.
        ClockSkew = "clock_skew",
        /// Another write of the same object was under way.
        Conflict = "conflict",
        /// A different object already has the batch's key.
        ObjectExists = "object_exists",
        /// The KMS key cannot be used.
        Encryption = "encryption",
        /// The store rejected the request for another reason.
        Refused = "refused",
        /// The egress policy does not permit the connector's endpoint.
        EndpointRefused = "endpoint_refused",
        /// The connector is missing or cannot be read.
        Connector = "connector",
        /// The object cannot be built from the stored events.
        CannotBuild = "cannot_build",
        /// Something that is not an S3 store responded: a web page, a proxy, another port.
        NotS3 = "not_s3",
        /// One side expects TLS and the other one does not.
        Tls = "tls",
        /// The store does not implement a part of the request.
        NotImplemented = "not_implemented",
        /// The store is full, or a quota is used up.
        StoreFull = "store_full",
        /// The store does not honour `If-None-Match`.
        ConditionalWrites = "conditional_writes",
        /// A fault of this program; its log has more.
        Internal = "internal",
        /// A code that this version does not know, recorded by a newer one.
        #[serde(other)]
        Unknown = "unknown",
    }
}

/// Why a delivery failed, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    /// A stable code: `credentials`, `access_denied`, `no_such_bucket`, `region`, `throttling`,
    /// `network`, `server`, `clock_skew`, `conflict`, `object_exists` …
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub code: FailureCode,
    /// The failed call, and the store's response.
    pub message: String,
    /// The remedy.
    pub hint: String,
    /// Whether an admin must act, because a retry cannot succeed.
    pub blocked: bool,
    /// When it happened, epoch ms.
    pub at: EpochMillis,
    /// The id that AWS gave the request; AWS support asks for it.
    #[serde(default)]
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_with_a_code_of_a_newer_version_can_be_read() {
        let json = r#"{"code":"quantum_decoherence","message":"m","hint":"h","blocked":false,"at":1}"#;
        let failure: Failure = serde_json::from_str(json).unwrap();
        assert_eq!(failure.code, FailureCode::Unknown);
    }
}
