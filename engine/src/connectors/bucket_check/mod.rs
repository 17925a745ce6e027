//! The steps of a bucket check: reach, sign in, find the region, write, read, write on condition,
//! delete.

mod find;
mod policy;
mod probe;

use auditstream_model::{BucketCheck, DestinationSpec, FailureCode, TestError};

use self::policy::{policy, statement};
use self::probe::Written;
use super::test_steps::Steps;
use crate::aws::object::{Bucket, CONDITION_HINT, Condition};
use crate::aws::{Aws, AwsFailure, AwsProfile};

const REACH: &str = "Reach the bucket";
const CREDENTIALS: &str = "Check the credentials";
const REGION: &str = "Find the bucket's region";
const WRITE: &str = "Write an object";
const READ: &str = "Read it back";
const CONDITION: &str = "Write it again only if it is not there";
const DELETE: &str = "Delete it";

const AFTER_REACH: &[&str] = &[CREDENTIALS, REGION, WRITE, READ, CONDITION, DELETE];
const AFTER_CREDENTIALS: &[&str] = &[REGION, WRITE, READ, CONDITION, DELETE];
const AFTER_REGION: &[&str] = &[WRITE, READ, CONDITION, DELETE];
const AFTER_WRITE: &[&str] = &[READ, CONDITION, DELETE];

/// Returns the result of a check that cannot begin because the connector does not exist.
pub(crate) fn without_connector(identifier: &str) -> BucketCheck {
    let mut steps = Steps::default();
    let error = TestError {
        hint: "Edit the destination and select another connector.".to_owned(),
        explanation: "A bucket cannot be reached without a connector.".to_owned(),
        message: format!("The AWS connector “{identifier}” does not exist."),
    };
    steps.fail(REACH, error);
    steps.skip(AFTER_REACH);
    let (status, steps, error) = steps.finish();
    BucketCheck {
        status,
        steps,
        error,
        missing_actions: Vec::new(),
        policy: None,
        conditional_writes: None,
    }
}

pub(crate) async fn check(aws: &Aws, profile: &AwsProfile, spec: &DestinationSpec) -> BucketCheck {
    let mut check = Check {
        aws,
        profile,
        spec,
        region: profile.region.clone(),
        steps: Steps::default(),
        missing: Vec::new(),
        conditional_writes: None,
    };
    if let Some(bucket) = check.find_bucket().await {
        check.exercise(&bucket).await;
    }
    let (status, steps, error) = check.steps.finish();
    BucketCheck {
        status,
        steps,
        error,
        policy: (!check.missing.is_empty()).then(|| policy(spec, &check.region)),
        missing_actions: check.missing.into_iter().map(str::to_owned).collect(),
        conditional_writes: check.conditional_writes,
    }
}

struct Check<'a> {
    aws: &'a Aws,
    profile: &'a AwsProfile,
    spec: &'a DestinationSpec,
    region: String,
    steps: Steps,
    /// The IAM actions that were denied.
    missing: Vec<&'static str>,
    conditional_writes: Option<bool>,
}

impl Check<'_> {
    async fn exercise(&mut self, bucket: &Bucket) {
        let key = probe::key(self.spec);
        match probe::write(bucket, self.spec, &key, Condition::IfAbsent).await {
            Ok(Written::Exists) => self.exercise_with_own_key(bucket, &key).await,
            Err(failure) if lacks_condition(&failure) => self.exercise_without_condition(bucket, &key, failure).await,
            first => self.after_write(bucket, &key, first).await,
        }
    }

    /// Finds out whether the condition is all that the store does not do.
    async fn exercise_without_condition(&mut self, bucket: &Bucket, key: &str, refused: AwsFailure) {
        if let Err(failure) = probe::write(bucket, self.spec, key, Condition::LookFirst).await {
            let failure = if lacks_condition(&failure) { refused } else { failure };
            self.denied(WRITE, failure, "s3:PutObject", "kms:GenerateDataKey");
            self.steps.skip(AFTER_WRITE);
            return;
        }
        self.steps
            .pass(WRITE, format!("{key} was written, without a condition."));
        self.read(bucket, key).await;
        self.condition_not_honoured(AwsFailure {
            code: FailureCode::ConditionalWrites,
            message: format!("The store does not do conditional writes. {}", refused.message),
            ..refused
        });
        match bucket.delete(key).await {
            Ok(()) => self.steps.pass(DELETE, format!("{key} was deleted.")),
            Err(failure) => self.not_deleted(key, &failure),
        }
    }

    /// Uses a random key: the probe belongs to an earlier check, or to a concurrent one that must
    /// find it unchanged. If nothing can be deleted, another probe would remain, so the existing
    /// one is read.
    async fn exercise_with_own_key(&mut self, bucket: &Bucket, existing: &str) {
        let own = probe::random_key(self.spec);
        let Err(failure) = bucket.delete(&own).await else {
            let first = probe::write(bucket, self.spec, &own, Condition::IfAbsent).await;
            return self.after_write(bucket, &own, first).await;
        };
        let detail = format!("{existing} exists from an earlier check; the store would have accepted another object.");
        self.steps.pass(WRITE, detail);
        self.read(bucket, existing).await;
        self.mark_condition_honoured();
        self.not_deleted(existing, &failure);
    }

    async fn after_write(&mut self, bucket: &Bucket, key: &str, first: Result<Written, AwsFailure>) {
        if let Err(failure) = first {
            self.denied(WRITE, failure, "s3:PutObject", "kms:GenerateDataKey");
            self.steps.skip(AFTER_WRITE);
            return;
        }
        self.steps.pass(WRITE, format!("{key} was written."));
        self.read(bucket, key).await;
        self.write_on_condition(bucket, key).await;
        match bucket.delete(key).await {
            Ok(()) => self.steps.pass(DELETE, format!("{key} was deleted.")),
            Err(failure) => self.not_deleted(key, &failure),
        }
    }

    fn not_deleted(&mut self, key: &str, failure: &AwsFailure) {
        let note = format!(
            "Note: {key} could not be deleted ({}). It can remain; to permit its deletion, allow s3:DeleteObject on \
             it.",
            failure.message
        );
        self.steps.pass(DELETE, note);
    }

    async fn read(&mut self, bucket: &Bucket, key: &str) {
        if self.spec.unconditional_writes
            && let Err(failure) = bucket.exists(&probe::random_key(self.spec)).await
        {
            self.denied(READ, failure, "s3:ListBucket", "kms:Decrypt");
            return;
        }
        match probe::is_intact(bucket, key).await {
            Ok(true) => self.steps.pass(READ, "Its content is what was written."),
            Ok(false) => {
                let failure = AwsFailure::refused(
                    FailureCode::ObjectExists,
                    format!("The content of {key} is not what was written."),
                    "Find out which program writes to this key, or choose a prefix that no other program writes to.",
                    "Another program writes under the prefix of this destination.",
                );
                self.steps.fail(READ, &failure);
            }
            Err(failure) => self.denied(READ, failure, "s3:GetObject", "kms:Decrypt"),
        }
    }

    async fn write_on_condition(&mut self, bucket: &Bucket, key: &str) {
        match probe::write(bucket, self.spec, key, Condition::IfAbsent).await {
            Ok(Written::Exists) => self.mark_condition_honoured(),
            Ok(Written::New) => self.condition_not_honoured(AwsFailure::refused(
                FailureCode::ConditionalWrites,
                format!("The store ignores If-None-Match: it overwrote {key}."),
                "",
                "Auditstream never uses a key twice. But the store would silently overwrite an object that another \
                 program has written to one of its keys.",
            )),
            Err(failure) => self.denied(CONDITION, failure, "s3:PutObject", "kms:GenerateDataKey"),
        }
    }

    /// Ends the step of a store without conditional writes, which needs an admin's choice.
    fn condition_not_honoured(&mut self, failure: AwsFailure) {
        self.conditional_writes = Some(false);
        if self.spec.unconditional_writes {
            let note = format!(
                "Note: {} This destination writes without conditions: a HEAD request looks for the object before each \
                 PUT, and nothing protects it from being overwritten by another client.",
                failure.message
            );
            self.steps.pass(CONDITION, note);
            return;
        }
        let failure = AwsFailure {
            hint: CONDITION_HINT.to_owned(),
            ..failure
        };
        self.steps.fail(CONDITION, &failure);
    }

    fn mark_condition_honoured(&mut self) {
        self.conditional_writes = Some(true);
        let detail = if self.spec.unconditional_writes {
            "Note: the store refused to overwrite it. This destination writes without conditions, which is not needed."
        } else {
            "The store refused to overwrite it, as it should."
        };
        self.steps.pass(CONDITION, detail);
    }

    /// Ends a step with a failure. For a missing permission, names the IAM action and statement.
    fn denied(&mut self, step: &str, failure: AwsFailure, bucket_action: &'static str, kms_action: &'static str) {
        if failure.code != FailureCode::AccessDenied {
            self.steps.fail(step, &failure);
            return;
        }
        let action = if failure.kms_denied { kms_action } else { bucket_action };
        if !self.missing.contains(&action) {
            self.missing.push(action);
        }
        let failure = AwsFailure {
            message: format!("{action} is not allowed. {}", failure.message),
            hint: format!(
                "Allow {action} in the policy of the connector's identity, and check that the bucket's policy does not \
                 deny it: {}",
                statement(self.spec, &self.region, action)
            ),
            ..failure
        };
        self.steps.fail(step, &failure);
    }
}

/// Returns whether a failure can come from a store that does not know `If-None-Match`.
fn lacks_condition(failure: &AwsFailure) -> bool {
    matches!(
        failure.code,
        FailureCode::ConditionalWrites | FailureCode::NotImplemented
    )
}
