//! Which meaning an error response has.

use auditstream_model::FailureCode;

use super::meaning::{
    ACCESS_DENIED, ACCESS_KEY, CLOCK_SKEW, CONDITION, CONFLICT, ENCRYPTION, INVALID_BUCKET_NAME, Meaning,
    NO_SUCH_BUCKET, NOT_FOUND, NOT_IMPLEMENTED, REFUSED, REGION, SERVER, SESSION_TOKEN, STORE_FULL, THROTTLING,
    TIMED_OUT, WEB_IDENTITY,
};

/// Looks up the error code of AWS, then the HTTP status. `header` is the one that the response
/// names as unsupported; empty for none.
pub(super) fn explain(status: u16, error_code: &str, detail: &str, header: &str) -> Meaning {
    // STS reports a skewed clock as an invalid signature.
    if detail.contains("Signature expired") || detail.contains("Signature not yet current") {
        return CLOCK_SKEW;
    }
    let by_code = BY_ERROR_CODE.iter().find(|(codes, _)| codes.contains(&error_code));
    let meaning = by_code.map_or_else(|| by_status(status), |(_, meaning)| *meaning);
    match meaning.code {
        FailureCode::AccessDenied if is_about_key(detail) => ACCESS_KEY,
        FailureCode::NotImplemented | FailureCode::Refused if is_about_condition(detail, header) => CONDITION,
        _ => meaning,
    }
}

/// Returns whether a store denies access because it does not know the key, or because the signature
/// is wrong. AWS has other error codes for both.
fn is_about_key(detail: &str) -> bool {
    let detail = detail.to_ascii_lowercase();
    [
        "invalid signature",
        "signature does not match",
        "no such key",
        "no such access key",
        "invalid access key",
        "unknown access key",
    ]
    .iter()
    .any(|phrase| detail.contains(phrase))
}

fn is_about_condition(detail: &str, header: &str) -> bool {
    header.eq_ignore_ascii_case("if-none-match") || detail.to_ascii_lowercase().contains("if-none-match")
}

fn by_status(status: u16) -> Meaning {
    match status {
        301 | 307 | 308 => REGION,
        401 | 403 => ACCESS_DENIED,
        404 => NOT_FOUND,
        408 => TIMED_OUT,
        409 => CONFLICT,
        429 => THROTTLING,
        501 => NOT_IMPLEMENTED,
        507 => STORE_FULL,
        // An error in a response with status 200 is one that occurred after the status was sent.
        200 => SERVER,
        status if status >= 500 => SERVER,
        _ => REFUSED,
    }
}

const BY_ERROR_CODE: &[(&[&str], Meaning)] = &[
    (
        &[
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
            "IncompleteSignature",
            "MissingAuthenticationToken",
            "NotSignedUp",
        ],
        ACCESS_KEY,
    ),
    (
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidToken",
            "TokenRefreshRequired",
        ],
        SESSION_TOKEN,
    ),
    (&["InvalidIdentityToken", "IDPRejectedClaim"], WEB_IDENTITY),
    (
        &["IDPCommunicationError"],
        Meaning {
            transient: true,
            ..WEB_IDENTITY
        },
    ),
    (&["RequestTimeTooSkewed", "RequestExpired"], CLOCK_SKEW),
    (&["NoSuchBucket"], NO_SUCH_BUCKET),
    (
        &[
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "TemporaryRedirect",
        ],
        REGION,
    ),
    (
        &[
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
        ],
        THROTTLING,
    ),
    (
        &[
            "KMS.DisabledException",
            "KMS.NotFoundException",
            "KMS.KMSInvalidStateException",
            "KMS.InvalidStateException",
        ],
        ENCRYPTION,
    ),
    (
        &[
            "AccessDenied",
            "AllAccessDisabled",
            "AccountProblem",
            "AccessDeniedException",
        ],
        ACCESS_DENIED,
    ),
    (&["ConditionalRequestConflict", "OperationAborted"], CONFLICT),
    (&["RequestTimeout"], TIMED_OUT),
    (&["NotImplemented"], NOT_IMPLEMENTED),
    (
        &[
            "QuotaExceeded",
            "InsufficientStorage",
            "InsufficientCapacity",
            "StorageFull",
            "StorageQuotaExceeded",
            "ServiceQuotaExceededException",
            "XMinioStorageFull",
            "XMinioAdminBucketQuotaExceeded",
            "XMinioQuotaExceeded",
        ],
        STORE_FULL,
    ),
    (&["InvalidBucketName"], INVALID_BUCKET_NAME),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_code_and_a_hint() {
        for (status, error_code, code, transient) in [
            (403, "InvalidAccessKeyId", FailureCode::Credentials, false),
            (403, "SignatureDoesNotMatch", FailureCode::Credentials, false),
            (403, "NotSignedUp", FailureCode::Credentials, false),
            (400, "ExpiredToken", FailureCode::Credentials, false),
            (400, "InvalidIdentityToken", FailureCode::Credentials, false),
            (403, "AccessDenied", FailureCode::AccessDenied, false),
            (403, "", FailureCode::AccessDenied, false),
            (404, "NoSuchBucket", FailureCode::NoSuchBucket, false),
            (404, "", FailureCode::NotFound, false),
            (301, "", FailureCode::Region, false),
            (400, "AuthorizationHeaderMalformed", FailureCode::Region, false),
            (503, "SlowDown", FailureCode::Throttling, true),
            (429, "", FailureCode::Throttling, true),
            (400, "RequestTimeout", FailureCode::Network, true),
            (500, "InternalError", FailureCode::Server, true),
            (503, "ServiceUnavailable", FailureCode::Server, true),
            (200, "InternalError", FailureCode::Server, true),
            (403, "RequestTimeTooSkewed", FailureCode::ClockSkew, true),
            (409, "ConditionalRequestConflict", FailureCode::Conflict, true),
            (400, "KMS.DisabledException", FailureCode::Encryption, false),
            (400, "InvalidStorageClass", FailureCode::Refused, false),
            (501, "NotImplemented", FailureCode::NotImplemented, false),
            (501, "", FailureCode::NotImplemented, false),
            (507, "", FailureCode::StoreFull, false),
            (507, "XMinioStorageFull", FailureCode::StoreFull, false),
            (403, "QuotaExceeded", FailureCode::StoreFull, false),
        ] {
            let meaning = explain(status, error_code, "", "");
            assert_eq!(
                (meaning.code, meaning.transient),
                (code, transient),
                "{status} {error_code}"
            );
            assert!(!meaning.hint.is_empty() && !meaning.explanation.is_empty());
        }
    }

    #[test]
    fn the_detail_distinguishes_what_stores_report_alike() {
        let code = |status, error_code, detail, header| explain(status, error_code, detail, header).code;
        for detail in ["Forbidden: Invalid signature", "Forbidden: No such key: GK31"] {
            assert_eq!(
                code(403, "AccessDenied", detail, ""),
                FailureCode::Credentials,
                "{detail}"
            );
        }
        assert_eq!(
            code(403, "AccessDenied", "Access Denied", ""),
            FailureCode::AccessDenied
        );
        assert_eq!(
            code(501, "NotImplemented", "", "If-None-Match"),
            FailureCode::ConditionalWrites
        );
        assert_eq!(
            code(501, "NotImplemented", "", "x-amz-storage-class"),
            FailureCode::NotImplemented
        );
        assert_eq!(
            code(400, "InvalidArgument", "Unsupported header 'If-None-Match'", ""),
            FailureCode::ConditionalWrites
        );
        assert_eq!(
            code(403, "SignatureDoesNotMatch", "Signature expired: 1 is now", ""),
            FailureCode::ClockSkew
        );
    }
}
