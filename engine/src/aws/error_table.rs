//! The meaning of each kind of error response.

use auditstream_model::FailureCode;

#[derive(Clone, Copy)]
pub(super) struct Meaning {
    pub(super) code: FailureCode,
    pub(super) transient: bool,
    pub(super) hint: &'static str,
    pub(super) explanation: &'static str,
}

/// Looks up the error code of AWS, then the HTTP status. `status` is `None` if there was no
/// response.
pub(super) fn explain(status: Option<u16>, error_code: &str) -> Meaning {
    let by_code = BY_ERROR_CODE.iter().find(|(codes, _)| codes.contains(&error_code));
    by_code.map_or_else(|| by_status(status), |(_, meaning)| *meaning)
}

fn by_status(status: Option<u16>) -> Meaning {
    match status {
        Some(301 | 307 | 308) => REGION,
        Some(401 | 403) => ACCESS_DENIED,
        Some(404) => NOT_FOUND,
        Some(408) => TIMED_OUT,
        Some(409) => CONFLICT,
        Some(429) => THROTTLING,
        // An error in a response with status 200 is one that occurred after the status was sent.
        Some(status) if status >= 500 || status == 200 => SERVER,
        Some(_) => REFUSED,
        None => UNREACHABLE,
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
];

const NOTHING_TO_DO: &str = "Nothing to do: it is retried.";

const ACCESS_KEY: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Check the access key and the secret key of the connector, and enter both again.",
    explanation: "AWS does not know this access key, or the secret key does not belong to it.",
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
    explanation: "The credentials are valid, but do not permit this.",
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

const UNREACHABLE: Meaning = Meaning {
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
            (Some(403), "InvalidAccessKeyId", FailureCode::Credentials, false),
            (Some(403), "SignatureDoesNotMatch", FailureCode::Credentials, false),
            (Some(403), "NotSignedUp", FailureCode::Credentials, false),
            (Some(400), "ExpiredToken", FailureCode::Credentials, false),
            (Some(400), "InvalidIdentityToken", FailureCode::Credentials, false),
            (Some(403), "AccessDenied", FailureCode::AccessDenied, false),
            (Some(403), "", FailureCode::AccessDenied, false),
            (Some(404), "NoSuchBucket", FailureCode::NoSuchBucket, false),
            (Some(404), "", FailureCode::NotFound, false),
            (Some(301), "", FailureCode::Region, false),
            (Some(400), "AuthorizationHeaderMalformed", FailureCode::Region, false),
            (Some(503), "SlowDown", FailureCode::Throttling, true),
            (Some(429), "", FailureCode::Throttling, true),
            (None, "", FailureCode::Network, true),
            (Some(400), "RequestTimeout", FailureCode::Network, true),
            (Some(500), "InternalError", FailureCode::Server, true),
            (Some(503), "ServiceUnavailable", FailureCode::Server, true),
            (Some(200), "InternalError", FailureCode::Server, true),
            (Some(403), "RequestTimeTooSkewed", FailureCode::ClockSkew, true),
            (Some(409), "ConditionalRequestConflict", FailureCode::Conflict, true),
            (Some(400), "KMS.DisabledException", FailureCode::Encryption, false),
            (Some(400), "InvalidStorageClass", FailureCode::Refused, false),
        ] {
            let meaning = explain(status, error_code);
            assert_eq!(
                (meaning.code, meaning.transient),
                (code, transient),
                "{status:?} {error_code}"
            );
            assert!(!meaning.hint.is_empty() && !meaning.explanation.is_empty());
        }
    }
}
