//! The meanings of failures, with their hints.

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

const NOTHING_TO_DO: &str = "Nothing to do: it is retried.";

pub(super) const ACCESS_KEY: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Check the access key and the secret key of the connector, and enter both again.",
    explanation: "The store does not know this access key, or the secret key does not belong to it.",
};

pub(super) const SESSION_TOKEN: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Enter fresh credentials in the connector. Only temporary credentials have a session token.",
    explanation: "The session token has expired or is malformed.",
};

pub(super) const WEB_IDENTITY: Meaning = Meaning {
    code: FailureCode::Credentials,
    transient: false,
    hint: "Check the role's trust policy: it must name the cluster's OIDC provider and this service account.",
    explanation: "AWS does not accept the web identity token of this pod.",
};

pub(super) const CLOCK_SKEW: Meaning = Meaning {
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

pub(super) const REGION: Meaning = Meaning {
    code: FailureCode::Region,
    transient: false,
    hint: "Set the connector's region to the bucket's.",
    explanation: "The bucket is in another region than the connector's.",
};

pub(super) const THROTTLING: Meaning = Meaning {
    code: FailureCode::Throttling,
    transient: true,
    hint: "Nothing to do: it is retried more slowly.",
    explanation: "The store asked to be called less often.",
};

pub(super) const ENCRYPTION: Meaning = Meaning {
    code: FailureCode::Encryption,
    transient: false,
    hint: "Check the KMS key of the destination or of the bucket: it must exist in the bucket's region and be enabled.",
    explanation: "The key that encrypts the object cannot be used.",
};

pub(super) const ACCESS_DENIED: Meaning = Meaning {
    code: FailureCode::AccessDenied,
    transient: false,
    hint: "Please check the credentials: their policy must allow s3:PutObject on this bucket.",
    explanation: "The credentials do not permit this.",
};

pub(super) const CONFLICT: Meaning = Meaning {
    code: FailureCode::Conflict,
    transient: true,
    hint: NOTHING_TO_DO,
    explanation: "Another write of the same object was in progress.",
};

pub(super) const TIMED_OUT: Meaning = Meaning {
    code: FailureCode::Network,
    transient: true,
    hint: NOTHING_TO_DO,
    explanation: "The store timed out while it waited for the request.",
};

pub(super) const NOT_FOUND: Meaning = Meaning {
    code: FailureCode::NotFound,
    transient: false,
    hint: "Check the bucket's name and the connector's endpoint.",
    explanation: "The store has nothing at this address.",
};

pub(super) const SERVER: Meaning = Meaning {
    code: FailureCode::Server,
    transient: true,
    hint: NOTHING_TO_DO,
    explanation: "The store had an internal error.",
};

pub(super) const REFUSED: Meaning = Meaning {
    code: FailureCode::Refused,
    transient: false,
    hint: "Compare the destination's options with those that the store supports.",
    explanation: "The store rejected the request.",
};

pub(super) const NOT_IMPLEMENTED: Meaning = Meaning {
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

pub(super) const STORE_FULL: Meaning = Meaning {
    code: FailureCode::StoreFull,
    transient: false,
    hint: "Free space in the store, or increase its quota. Streaming resumes with the next run.",
    explanation: "The store is full, or a quota is used up.",
};

pub(super) const INVALID_BUCKET_NAME: Meaning = Meaning {
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
