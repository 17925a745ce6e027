//! The connection test: one harmless call that needs valid credentials. By the reference it never looks at a bucket.

use auditstream_model::connector::{Outcome, TestError, TestStep};
use auditstream_model::{ConnectionTest, Permission};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::{aws, rows};
use crate::error::{Error, Result};
use crate::streaming::failure::{Cause, classify};
use crate::{Actor, Engine};

/// Tests a connector: STS GetCallerIdentity, or ListBuckets for a custom endpoint, which has no STS.
///
/// # Errors
/// No permission; no such connector. A connector that does not work is an answer, not an error.
pub async fn test(engine: &Engine, actor: &Actor, identifier: &str) -> Result<ConnectionTest> {
    actor.require(Permission::EditConnector)?;
    let unlocked = rows::unlock(engine, actor.account_id(), identifier).await?;
    let (connector, secrets) = unlocked.ok_or_else(|| Error::not_found("connector", identifier))?;
    let (call, result) = match &connector.spec.endpoint {
        None => (
            "Ask AWS STS who the credentials are",
            identity(&aws::sts(&connector, secrets.as_ref())).await,
        ),
        Some(endpoint) => {
            let result = buckets(&aws::s3(&connector, secrets.as_ref())).await;
            return Ok(report(
                "List the buckets",
                format!("The store at {endpoint} answered."),
                result,
            ));
        }
    };
    Ok(report(
        call,
        format!("AWS answered from {}.", connector.spec.region),
        result,
    ))
}

async fn identity(client: &aws_sdk_sts::Client) -> Result<String, Cause> {
    let answer = client
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| classify(&error))?;
    Ok(format!(
        "Signed in as {}.",
        answer.arn().unwrap_or("an identity that AWS did not name")
    ))
}

async fn buckets(client: &aws_sdk_s3::Client) -> Result<String, Cause> {
    match client.list_buckets().send().await {
        Ok(answer) => Ok(format!(
            "The credentials are valid; {} bucket(s) are visible.",
            answer.buckets().len()
        )),
        // A signed refusal proves the credentials: only who they belong to may not list.
        Err(SdkError::ServiceError(error)) if error.err().code() == Some("AccessDenied") => {
            Ok("The credentials are valid; they may not list buckets, which streaming does not need.".to_owned())
        }
        Err(error) => Err(classify(&error)),
    }
}

fn report(call: &str, reached: String, result: Result<String, Cause>) -> ConnectionTest {
    let step = |name: &str, status, detail: String| TestStep {
        name: name.to_owned(),
        status,
        detail,
    };
    match result {
        Ok(found) => ConnectionTest {
            status: Outcome::Success,
            steps: vec![
                step("Reach the endpoint", Outcome::Success, reached),
                step(call, Outcome::Success, found),
            ],
            error: None,
        },
        Err(cause) => {
            let reach = if cause.answered {
                Outcome::Success
            } else {
                Outcome::Failure
            };
            let call_status = if cause.answered {
                Outcome::Failure
            } else {
                Outcome::Skipped
            };
            let reach_detail = if cause.answered { reached } else { cause.message.clone() };
            let call_detail = if cause.answered {
                cause.message.clone()
            } else {
                "Not tried.".to_owned()
            };
            ConnectionTest {
                status: Outcome::Failure,
                steps: vec![
                    step("Reach the endpoint", reach, reach_detail),
                    step(call, call_status, call_detail),
                ],
                error: Some(TestError {
                    hint: cause.hint,
                    explanation: cause.explanation,
                    message: cause.message,
                }),
            }
        }
    }
}
