//! What the answers of AWS mean: one row for each kind of failure.

use auditstream_model::FailureCode;

/// The meaning of an answer, or of none.
pub(super) struct Meaning {
    pub(super) code: FailureCode,
    /// Whether trying again soon can help.
    pub(super) transient: bool,
    pub(super) hint: &'static str,
    pub(super) explanation: &'static str,
}

const fn meaning(code: FailureCode, transient: bool, hint: &'static str, explanation: &'static str) -> Meaning {
    Meaning {
        code,
        transient,
        hint,
        explanation,
    }
}

/// The meaning of an HTTP status and of the word that AWS gives the error; no status when nothing was answered.
pub(super) fn explain(status: Option<u16>, word: &str) -> Meaning {
    match (word, status) {
        (
            "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "NotSignedUp",
            _,
        ) => meaning(
            FailureCode::Credentials,
            false,
            "Check the access key and the secret key of the connector, and enter both again.",
            "AWS does not know this access key, or the secret key does not belong to it.",
        ),
        ("ExpiredToken" | "ExpiredTokenException" | "InvalidToken" | "TokenRefreshRequired", _) => meaning(
            FailureCode::Credentials,
            false,
            "Enter fresh credentials in the connector; a session token belongs to temporary ones.",
            "The session token is no longer good, or is none.",
        ),
        ("InvalidIdentityToken" | "IDPRejectedClaim" | "IDPCommunicationError", _) => meaning(
            FailureCode::Credentials,
            word == "IDPCommunicationError",
            "Check the role's trust policy: it must name the cluster's OIDC provider and this service account.",
            "AWS does not accept the web identity token of this pod.",
        ),
        ("RequestTimeTooSkewed" | "RequestExpired", _) => meaning(
            FailureCode::ClockSkew,
            true,
            "Set this server's clock: AWS allows a difference of 15 minutes.",
            "The clock of this server and that of AWS are too far apart for a signature to count.",
        ),
        ("NoSuchBucket", _) => meaning(
            FailureCode::NoSuchBucket,
            false,
            "Check the bucket's name and the connector's region, or create the bucket.",
            "There is no bucket of this name where the connector points.",
        ),
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "TemporaryRedirect",
            _,
        )
        | (_, Some(301 | 307 | 308)) => meaning(
            FailureCode::Region,
            false,
            "Set the connector's region to the bucket's.",
            "The bucket is in another region than the connector's.",
        ),
        (
            "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException",
            _,
        )
        | (_, Some(429)) => meaning(
            FailureCode::Throttling,
            true,
            "Nothing to do: it is tried again more slowly.",
            "The store asked to be called less often.",
        ),
        (
            "KMS.DisabledException"
            | "KMS.NotFoundException"
            | "KMS.KMSInvalidStateException"
            | "KMS.InvalidStateException",
            _,
        ) => meaning(
            FailureCode::Encryption,
            false,
            "Check the KMS key of the destination or of the bucket: it must exist in the bucket's region and be enabled.",
            "The key that the object is to be encrypted with cannot be used.",
        ),
        ("AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "AccessDeniedException", _)
        | (_, Some(401 | 403)) => meaning(
            FailureCode::AccessDenied,
            false,
            "Please check the credentials: their policy must allow s3:PutObject on this bucket.",
            "The credentials are known, but may not do this.",
        ),
        ("ConditionalRequestConflict" | "OperationAborted", _) | (_, Some(409)) => meaning(
            FailureCode::Conflict,
            true,
            "Nothing to do: it is tried again.",
            "Another write of the same object was under way.",
        ),
        ("RequestTimeout", _) | (_, Some(408)) => meaning(
            FailureCode::Network,
            true,
            "Nothing to do: it is tried again.",
            "The store waited too long for the request.",
        ),
        (_, Some(404)) => meaning(
            FailureCode::NotFound,
            false,
            "Check the bucket's name and the connector's endpoint.",
            "The store has nothing at this address.",
        ),
        (_, Some(status)) if status >= 500 || status == 200 => meaning(
            FailureCode::Server,
            true,
            "Nothing to do: it is tried again.",
            "The store had a fault of its own.",
        ),
        (_, Some(_)) => meaning(
            FailureCode::Refused,
            false,
            "Compare the destination's options with what the store supports.",
            "The store refused the request.",
        ),
        (_, None) => meaning(
            FailureCode::Network,
            true,
            "Check the connector's endpoint and region, and that this server may reach it.",
            "The store was not reached, or its answer was lost.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_is_told_apart_and_has_a_hint() {
        for (status, word, code, transient) in [
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
            let meaning = explain(status, word);
            assert_eq!(
                (meaning.code, meaning.transient),
                (code, transient),
                "{status:?} {word}"
            );
            assert!(!meaning.hint.is_empty() && !meaning.explanation.is_empty());
        }
    }
}
