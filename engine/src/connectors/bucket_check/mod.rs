//! The steps of a bucket check: reach, sign in, find the region, write, read, write on condition, delete.

mod policy;
mod probe;

use auditstream_model::{BucketCheck, DestinationSpec, FailureCode};
use aws_sdk_s3::Client;

use self::policy::{policy, statement};
use self::probe::Written;
use super::connection_test::who;
use super::secrets::Unlocked;
use super::test_steps::Steps;
use crate::Engine;
use crate::aws::clients::S3;
use crate::aws::failure::{self, Cause, classify};

const REACH: &str = "Reach the bucket";
const CREDENTIALS: &str = "Check the credentials";
const REGION: &str = "Find the bucket's region";
const WRITE: &str = "Write an object";
const READ: &str = "Read it back";
const CONDITION: &str = "Write it again only if it is not there";
const DELETE: &str = "Delete it";

/// A check that cannot begin.
pub(crate) fn without_connector(identifier: &str) -> BucketCheck {
    let mut steps = Steps::default();
    let cause = Cause::refused(
        FailureCode::Connector,
        format!("The AWS connector “{identifier}” does not exist."),
        "Edit the destination and select another.",
        "Nothing can be reached without a connector.",
    );
    steps.fail(REACH, &cause);
    steps.skip(&[CREDENTIALS, REGION, WRITE, READ, CONDITION, DELETE]);
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

/// Takes every step, as far as it comes.
pub(crate) async fn check(engine: &Engine, unlocked: &Unlocked, spec: &DestinationSpec) -> BucketCheck {
    let mut check = Check {
        spec,
        region: unlocked.region().to_owned(),
        steps: Steps::default(),
        missing: Vec::new(),
        conditional_writes: None,
    };
    if let Some(s3) = check.find(engine, unlocked).await {
        check.use_it(&s3.client).await;
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
    spec: &'a DestinationSpec,
    region: String,
    steps: Steps,
    missing: Vec<&'static str>,
    conditional_writes: Option<bool>,
}

impl Check<'_> {
    /// Signs in, and finds the bucket; answers a client of its region.
    async fn find(&mut self, engine: &Engine, unlocked: &Unlocked) -> Option<S3> {
        let bucket = self.spec.bucket.as_str();
        let s3 = match engine.aws().s3(unlocked, bucket).await {
            Ok(s3) => s3,
            Err(cause) => {
                self.steps.skip(&[REACH]);
                self.steps.fail(CREDENTIALS, &cause);
                self.steps.skip(&[REGION, WRITE, READ, CONDITION, DELETE]);
                return None;
            }
        };
        let head = self.head(&s3.client).await;
        match &head {
            Err(cause) if !cause.answered => {
                self.steps.fail(REACH, cause);
                self.steps.skip(&[CREDENTIALS, REGION, WRITE, READ, CONDITION, DELETE]);
                return None;
            }
            _ => self.steps.pass(REACH, "The store answered."),
        }
        match who(engine, unlocked, &s3.credentials).await {
            Ok(found) => self.steps.pass(CREDENTIALS, found),
            Err(cause) if matches!(cause.code, FailureCode::Credentials | FailureCode::ClockSkew) => {
                engine.aws().sign_out(unlocked).await;
                self.steps.fail(CREDENTIALS, &cause);
                self.steps.skip(&[REGION, WRITE, READ, CONDITION, DELETE]);
                return None;
            }
            // Streaming needs neither STS nor the list of buckets: writing will tell.
            Err(cause) => self.steps.pass(
                CREDENTIALS,
                format!("Remark: nobody told whose they are. {}", cause.message),
            ),
        }
        self.locate(engine, unlocked, s3, head).await
    }

    /// HeadBucket: the bucket's region, if the store tells one.
    async fn head(&self, client: &Client) -> Result<Option<Box<str>>, Cause> {
        let head = client
            .head_bucket()
            .bucket(self.spec.bucket.as_str())
            .set_expected_bucket_owner(self.spec.expected_bucket_owner.clone());
        match head.send().await {
            Ok(answer) => Ok(answer.bucket_region().map(Into::into)),
            // An answer to HEAD has no body: only the status tells what is wrong.
            Err(error) => match (probe::status(&error), error.raw_response().and_then(failure::region)) {
                (Some(404), _) => Err(Cause {
                    message: format!("There is no bucket {}.", self.spec.bucket.as_str()),
                    ..Cause::refused(
                        FailureCode::NoSuchBucket,
                        "",
                        "Check the bucket's name and the connector's region, or create the bucket.",
                        "There is no bucket of this name where the connector points.",
                    )
                }),
                (Some(_), Some(region)) => Ok(Some(region)),
                // Not allowed to list, which streaming does not need; writing will tell the rest.
                (Some(403), None) => Ok(None),
                _ => Err(classify(&error)),
            },
        }
    }

    async fn locate(
        &mut self,
        engine: &Engine,
        unlocked: &Unlocked,
        s3: S3,
        head: Result<Option<Box<str>>, Cause>,
    ) -> Option<S3> {
        let bucket = self.spec.bucket.as_str();
        let told = match head {
            Ok(told) => told,
            Err(cause) => {
                self.steps.fail(REGION, &cause);
                self.steps.skip(&[WRITE, READ, CONDITION, DELETE]);
                return None;
            }
        };
        let Some(region) = told.filter(|region| **region != s3.region) else {
            self.region.clone_from(&s3.region);
            self.steps
                .pass(REGION, region_found(bucket, &s3.region, unlocked.region()));
            return Some(s3);
        };
        engine.aws().bucket_is_in(unlocked, bucket, &region);
        self.region = region.to_string();
        match engine.aws().s3(unlocked, bucket).await {
            Ok(moved) => {
                self.steps
                    .pass(REGION, region_found(bucket, &region, unlocked.region()));
                Some(moved)
            }
            Err(cause) => {
                self.steps.fail(REGION, &cause);
                self.steps.skip(&[WRITE, READ, CONDITION, DELETE]);
                None
            }
        }
    }

    /// Writes, reads, writes again, deletes.
    async fn use_it(&mut self, client: &Client) {
        let key = probe::key(self.spec);
        match probe::write(client, self.spec, &key).await {
            Ok(Written::WasThere) => self.use_another(client, &key).await,
            first => self.go_on(client, &key, first).await,
        }
    }

    /// There is a probe already, of an earlier check or of one under way, which must find it as it is: the check has a key
    /// of its own. Where nothing can be deleted that would stay, and what is there has to do.
    async fn use_another(&mut self, client: &Client, taken: &str) {
        let own = probe::own_key(self.spec);
        let Err(cause) = probe::delete(client, self.spec, &own).await else {
            let first = probe::write(client, self.spec, &own).await;
            return self.go_on(client, &own, first).await;
        };
        let remark = format!("{taken} is there from an earlier check, and the store would have taken another.");
        self.steps.pass(WRITE, remark);
        self.read(client, taken).await;
        self.honoured();
        self.not_deleted(taken, &cause);
    }

    /// The steps after the first PUT.
    async fn go_on(&mut self, client: &Client, key: &str, first: Result<Written, Cause>) {
        if let Err(cause) = first {
            let action = if cause.message.contains("kms:") {
                "kms:GenerateDataKey"
            } else {
                "s3:PutObject"
            };
            self.refused(WRITE, cause, action);
            self.steps.skip(&[READ, CONDITION, DELETE]);
            return;
        }
        self.steps.pass(WRITE, format!("{key} was written."));
        self.read(client, key).await;
        self.condition(client, key).await;
        match probe::delete(client, self.spec, key).await {
            Ok(()) => self.steps.pass(DELETE, format!("{key} was deleted.")),
            Err(cause) => self.not_deleted(key, &cause),
        }
    }

    fn not_deleted(&mut self, key: &str, cause: &Cause) {
        let remark = format!(
            "Remark: {key} could not be deleted ({}). It may stay; s3:DeleteObject on it would allow that.",
            cause.message
        );
        self.steps.pass(DELETE, remark);
    }

    async fn read(&mut self, client: &Client, key: &str) {
        match probe::read(client, self.spec, key).await {
            Ok(body) if body == probe::BODY.as_bytes() => self.steps.pass(READ, "It holds what was written."),
            Ok(_) => {
                let cause = Cause::refused(
                    FailureCode::ObjectExists,
                    format!("{key} holds something else than what was written."),
                    "Find out who writes this key; choose a prefix that nobody else writes to.",
                    "Somebody else writes where this destination would.",
                );
                self.steps.fail(READ, &cause);
            }
            Err(cause) => {
                let action = if cause.message.contains("kms:") {
                    "kms:Decrypt"
                } else {
                    "s3:GetObject"
                };
                self.refused(READ, cause, action);
            }
        }
    }

    async fn condition(&mut self, client: &Client, key: &str) {
        match probe::write(client, self.spec, key).await {
            Ok(Written::WasThere) => self.honoured(),
            Ok(Written::New) => {
                self.conditional_writes = Some(false);
                let cause = Cause::refused(
                    FailureCode::ConditionalWrites,
                    format!("The store ignores If-None-Match: it overwrote {key}."),
                    "Use a store that honours conditional writes, or let nobody else write under this prefix.",
                    "Streaming works, and its own objects never share a name; but an object that somebody else put under \
                     one of them would be overwritten without a word.",
                );
                self.steps.fail(CONDITION, &cause);
            }
            Err(cause) => self.refused(CONDITION, cause, "s3:PutObject"),
        }
    }

    fn honoured(&mut self) {
        self.conditional_writes = Some(true);
        self.steps
            .pass(CONDITION, "The store refused to overwrite it, as it should.");
    }

    /// A step that failed; one that was not allowed names the action and the statement that allows it.
    fn refused(&mut self, step: &str, cause: Cause, action: &'static str) {
        if cause.code != FailureCode::AccessDenied {
            self.steps.fail(step, &cause);
            return;
        }
        if !self.missing.contains(&action) {
            self.missing.push(action);
        }
        let hint = format!(
            "Allow {action} in the policy of the connector's identity, and see that the bucket's own policy does not deny it: {}",
            statement(self.spec, &self.region, action)
        );
        self.steps.fail(
            step,
            &Cause {
                message: format!("{action} is not allowed. {}", cause.message),
                hint,
                ..cause
            },
        );
    }
}

fn region_found(bucket: &str, region: &str, connector: &str) -> String {
    if region == connector {
        format!("{bucket} is in {region}.")
    } else {
        format!(
            "Remark: {bucket} is in {region}; the connector says {connector}. It is written to there all the same; set the \
             connector's region to {region}."
        )
    }
}
