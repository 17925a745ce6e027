//! Tests of a connector or a bucket, and their results.

use serde::{Deserialize, Serialize};

#[cfg(feature = "openapi")]
use crate::Identifier;
use crate::SpecInput;
use crate::wire_names::wire_names;

wire_names! {
    /// The result of a test or of one of its steps.
    pub enum Outcome {
        /// It works.
        Success = "SUCCESS",
        /// It does not work.
        Failure = "FAILURE",
        /// An earlier step failed.
        Skipped = "SKIPPED",
    }
}

/// One step of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestStep {
    /// The action that was tried.
    pub name: String,
    /// The result.
    pub status: Outcome,
    /// The finding.
    pub detail: String,
}

/// Why a test failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestError {
    /// The remedy.
    pub hint: String,
    /// The meaning of the message.
    pub explanation: String,
    /// The store's own message.
    pub message: String,
}

/// The result of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionTest {
    /// Whether the connector works.
    pub status: Outcome,
    /// The steps, in order.
    pub steps: Vec<TestStep>,
    /// Why it failed; null if it did not.
    pub error: Option<TestError>,
}

/// An event of a running connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestProgress {
    /// The names of all steps, in order.
    Planned(Vec<String>),
    /// The step with this name has begun.
    Begun(String),
    /// A step has ended.
    Ended(TestStep),
    /// The test has ended; no event follows.
    Done(ConnectionTest),
}

/// A bucket to check before saving a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BucketCheckInput {
    /// The connector to use.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub connector_ref: String,
    /// The bucket, the prefix and how objects are stored.
    pub spec: SpecInput,
}

/// The result of a bucket check: whether a destination could stream to the bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BucketCheck {
    /// Whether every step that streaming needs works.
    pub status: Outcome,
    /// The steps, in order.
    pub steps: Vec<TestStep>,
    /// Why the first failed step failed; null if all succeeded.
    pub error: Option<TestError>,
    /// The IAM actions that were denied: `s3:PutObject` …
    pub missing_actions: Vec<String>,
    /// An IAM policy in JSON that allows everything that streaming to this bucket and prefix needs;
    /// null when nothing is missing.
    pub policy: Option<String>,
    /// Whether the store honours `If-None-Match`; null when the check ended before that step.
    pub conditional_writes: Option<bool>,
}
