//! The meaning of each kind of error response.

use auditstream_model::FailureCode;

#[derive(Clone, Copy)]
pub(super) struct Meaning {
    pub(super) code: FailureCode,
    pub(super) transient: bool,
    pub(super) hint: &'static str,
    pub(super) explanation: &'static str,
}

impl Meaning {
    /// Returns whether the store certainly did not carry out the request.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self.code,
            FailureCode::NotImplemented | FailureCode::ConditionalWrites | FailureCode::StoreFull
        )
    }
}

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

const NOTHING_TO_DO: &str = "Nothing to do: it is retried.";

const ACCESS_KEY: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Check the access key and the secret key of the connector, and enter both again.",
    explanation: "The store does not know this access key, or the secret key does not belong to it.",
};

const SESSION_TOKEN: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Enter fresh credentials in the connector. Only temporary credentials have a session token.",
    explanation: "The session token has expired or is malformed.",
};

const WEB_IDENTITY: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Check the role's trust policy: it must name the cluster's OIDC provider and this service account.",
    explanation: "AWS does not accept the web identity token of this pod.",
};

const CLOCK_SKEW: Meaning = Meaning {
    code: FailureCode::ClockSkew,
    transient: true,
    hint: "Correct this server's clock: AWS allows a difference of 15 minutes.",
    explanation: "The clocks of this server and of AWS are too far apart for a signature to be accepted.",
};

pub(super) const NO_SUCH_BUCKET: Meaning = Meaning {
    code: FailureCode::NoSuchBucket,
    transient: false,
    hint: "Check the bucket's name and the connector's region, or create the bucket.",
    explanation: "The store that the connector points to has no bucket of this name.",
};

const REGION: Meaning = Meaning {
    code: FailureCode::Region,
    transient: false,
    hint: "Set the connector's region to the bucket's.",
    explanation: "The bucket is in another region than the connector's.",
};

const THROTTLING: Meaning = Meaning {
    code: FailureCode::Throttling,
    transient: true,
    hint: "Nothing to do: it is retried more slowly.",
    explanation: "The store asked to be called less often.",
};

const ENCRYPTION: Meaning = Meaning {
    code: FailureCode::Encryption,
    transient: false,
    hint: "Check the KMS key of the destination or of the bucket: it must exist in the bucket's region and be enabled.",
    explanation: "The key that encrypts the object cannot be used.",
};

const ACCESS_DENIED: Meaning = Meaning {
    code: FailureCode::AccessDenied,
    transient: false,
    hint: "Please check the credentials: their policy must allow s3:PutObject on this bucket.",
    explanation: "The credentials do not permit this.",
};

const CONFLICT: Meaning = Meaning {
    code: FailureCode::Conflict,
    transient: true,
    hint: NOTHING_TO_DO,
    explanation: "Another write of the same object was in progress.",
};

const TIMED_OUT: Meaning = Meaning {
    code: FailureCode::Network,
    transient: true,
    hint: NOTHING_TO_DO,
    explanation: "The store timed out while it waited for the request.",
};

const NOT_FOUND: Meaning = Meaning {
    code: FailureCode::NotFound,
    transient: false,
    hint: "Check the bucket's name and the connector's endpoint.",
    explanation: "The store has nothing at this address.",
};

const SERVER: Meaning = Meaning {
    code: FailureCode::Server,
    transient: true,
    hint: NOTHING_TO_DO,
    explanation: "The store had an internal error.",
};

const REFUSED: Meaning = Meaning {
    code: FailureCode::Refused,
    transient: false,
    hint: "Compare the destination's options with those that the store supports.",
    explanation: "The store rejected the request.",
};

const NOT_IMPLEMENTED: Meaning = Meaning {
    code: FailureCode::NotImplemented,
    transient: false,
    hint: "Most often this is the condition If-None-Match. Run the bucket check: it finds out whether the store can do \
           conditional writes, and explains the choice that streaming to it needs.",
    explanation: "The store does not implement a part of the request.",
};

pub(super) const CONDITION: Meaning = Meaning {
    code: FailureCode::ConditionalWrites,
    transient: false,
    hint: "Use a store with conditional writes, or choose “Write without conditions” in the destination's options: each \
           PUT is then preceded by a look, and the store no longer protects objects from being overwritten.",
    explanation: "This store does not do conditional writes (If-None-Match).",
};

const STORE_FULL: Meaning = Meaning {
    code: FailureCode::StoreFull,
    transient: false,
    hint: "Free space in the store, or increase its quota. Streaming resumes with the next run.",
    explanation: "The store is full, or a quota is used up.",
};

const INVALID_BUCKET_NAME: Meaning = Meaning {
    code: FailureCode::NoSuchBucket,
    transient: false,
    hint: "Check the bucket's name and the connector's endpoint.",
    explanation: "The store does not accept this name of a bucket.",
};

pub(super) const NOT_S3: Meaning = Meaning {
    code: FailureCode::NotS3,
    transient: false,
    hint: "Check the connector's endpoint: it may be another port of the store, such as that of its web console, or a \
           proxy in between that responds itself.",
    explanation: "Something that is not an S3 store responded.",
};

pub(super) const TLS_MISMATCH: Meaning = Meaning {
    code: FailureCode::Tls,
    transient: false,
    hint: "Check whether the connector's endpoint begins with http:// or https://.",
    explanation: "One side expects TLS and the other one does not.",
};

pub(super) const UNREACHABLE: Meaning = Meaning {
    code: FailureCode::Network,
    transient: true,
    hint: "Check the connector's endpoint and region, and that this server can connect to it.",
    explanation: "The store could not be reached, or its response was lost.",
};

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
