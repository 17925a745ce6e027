//! What is tried with a connector or a bucket, and what came of it.

use serde::{Deserialize, Serialize};

use crate::destination::SpecInput;
#[cfg(feature = "openapi")]
use crate::identifier::Identifier;

/// How a step of a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// An earlier step failed.
    Skipped,
}

/// One step of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestStep {
    /// What was tried.
    pub name: String,
    /// How it ended.
    pub status: Outcome,
    /// What was found.
    pub detail: String,
}

/// Why a test failed: what to do, what it means, and what AWS said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestError {
    /// What to do.
    pub hint: String,
    /// What it means.
    pub explanation: String,
    /// The server's own words.
    pub message: String,
}

/// The answer of a connection test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConnectionTest {
    /// Whether the connector works.
    pub status: Outcome,
    /// What was tried, in order.
    pub steps: Vec<TestStep>,
    /// Why it failed.
    pub error: Option<TestError>,
}

/// What a connection test tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestProgress {
    /// The steps that it will take, in order.
    Planned(Vec<String>),
    /// The step of this name begins.
    Begun(String),
    /// A step has ended.
    Ended(TestStep),
    /// The whole answer; nothing follows.
    Done(ConnectionTest),
}

/// A bucket that is to be checked before a destination with it is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BucketCheckInput {
    /// The connector to reach it with.
    #[cfg_attr(feature = "openapi", schema(value_type = Identifier))]
    pub connector_ref: String,
    /// The bucket, the prefix and how objects are stored.
    pub spec: SpecInput,
}

/// The answer of a bucket check: whether a destination could stream there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BucketCheck {
    /// Whether every step that streaming needs works.
    pub status: Outcome,
    /// What was tried, in order.
    pub steps: Vec<TestStep>,
    /// Why the first step that failed did.
    pub error: Option<TestError>,
    /// IAM actions that a step was refused for: `s3:PutObject` …
    pub missing_actions: Vec<String>,
    /// The IAM policy, JSON, that allows all that streaming to this bucket and prefix needs; null when nothing is missing.
    pub policy: Option<String>,
    /// Whether the server honours `If-None-Match`; null when the check did not come that far.
    pub conditional_writes: Option<bool>,
}
