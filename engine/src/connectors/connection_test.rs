//! The connection test: sign in, and make one harmless call that needs valid credentials. By the reference it never looks
//! at a bucket.

use auditstream_model::{ConnectionTest, Credentials as Kind, Outcome, Permission, TestProgress};
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use futures::Stream;
use futures::channel::mpsc;
use serde_json::json;

use super::secrets::Unlocked;
use super::test_steps::Steps;
use super::{rows, secrets};
use crate::aws::credentials;
use crate::aws::failure::{Cause, classify};
use crate::database::retried;
use crate::error::{Error, Result};
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const RESOLVE: &str = "Find the credentials";
const ROLE: &str = "Take on the role";
const REACH: &str = "Reach the endpoint";

/// Tests a connector: STS GetCallerIdentity, or ListBuckets for a custom endpoint, which has no STS. Signs in anew.
///
/// # Errors
/// No permission; no such connector. A connector that does not work is an answer, not an error.
pub async fn test(engine: &Engine, actor: &Actor, identifier: &str) -> Result<ConnectionTest> {
    let unlocked = unlock(engine, actor, identifier).await?;
    let answer = take(engine, &unlocked, Steps::default()).await;
    note(engine, actor, &unlocked, &answer).await?;
    Ok(answer)
}

/// The same test, told as it runs: the plan, each step as it begins and as it ends, and last the answer. It runs
/// whether or not the stream is read; there is no answer where the test cannot be noted in the trail.
///
/// # Errors
/// As [`test`].
pub async fn watch_test(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
) -> Result<impl Stream<Item = TestProgress> + Send + use<>> {
    let unlocked = unlock(engine, actor, identifier).await?;
    let (engine, actor) = (engine.clone(), actor.clone());
    let (watcher, told) = mpsc::unbounded();
    let run = async move {
        // Nobody listens any more when one of these cannot be sent.
        drop(watcher.unbounded_send(TestProgress::Planned(plan(&unlocked))));
        let answer = take(&engine, &unlocked, Steps::watched(watcher.clone())).await;
        match note(&engine, &actor, &unlocked, &answer).await {
            Ok(()) => drop(watcher.unbounded_send(TestProgress::Done(answer))),
            Err(error) => tracing::error!(%error, "a connection test could not be noted in the trail"),
        }
    };
    // It is noted, whoever still listens.
    tokio::spawn(run);
    Ok(told)
}

async fn unlock(engine: &Engine, actor: &Actor, identifier: &str) -> Result<Unlocked> {
    actor.require(Permission::EditConnector)?;
    let unlocked = secrets::unlock(engine, actor.account_id(), identifier).await?;
    unlocked.ok_or_else(|| Error::not_found("connector", identifier))
}

/// Who tested what is part of the trail, and how it went.
async fn note(engine: &Engine, actor: &Actor, unlocked: &Unlocked, answer: &ConnectionTest) -> Result<()> {
    let failed = answer.steps.iter().find(|step| step.status == Outcome::Failure);
    let found = json!({"status": answer.status, "failed_step": failed.map(|step| &step.name)});
    let identifier = unlocked.connector.identifier.as_str();
    retried(|| async {
        let mut tx = engine.database().write().await?;
        record(&mut tx, actor, Change::of(rows::KIND, identifier, "TEST", (), &found)).await?;
        tx.commit().await
    })
    .await
}

/// The names of the steps that [`take`] takes.
fn plan(unlocked: &Unlocked) -> Vec<String> {
    let role = credentials::role(unlocked).map(|_| ROLE);
    let names = [Some(RESOLVE), role, Some(REACH), Some(call_of(unlocked))];
    names.into_iter().flatten().map(str::to_owned).collect()
}

async fn take(engine: &Engine, unlocked: &Unlocked, mut steps: Steps) -> ConnectionTest {
    if let Some(credentials) = sign_in(engine, unlocked, &mut steps).await {
        ask(engine, unlocked, &credentials, &mut steps).await;
    } else {
        steps.skip(&[REACH, call_of(unlocked)]);
    }
    let (status, steps, error) = steps.finish();
    ConnectionTest { status, steps, error }
}

async fn sign_in(engine: &Engine, unlocked: &Unlocked, steps: &mut Steps) -> Option<Credentials> {
    let aws = engine.aws();
    let role = credentials::role(unlocked);
    steps.begin(RESOLVE);
    let own = match credentials::own(aws, unlocked).await {
        Ok(own) => own,
        Err(cause) => {
            steps.fail(RESOLVE, &cause);
            if role.is_some() {
                steps.skip(&[ROLE]);
            }
            return None;
        }
    };
    let found = match &unlocked.connector.spec.credentials {
        Kind::Manual { access_key } => format!("The access key {access_key} and its secret."),
        Kind::Inherit => format!("This host's own identity: access key {}.", own.access_key_id()),
        Kind::Irsa => format!(
            "The pod's service account: temporary access key {}.",
            own.access_key_id()
        ),
    };
    steps.pass(RESOLVE, found);
    let Some(role) = role else { return Some(own) };
    steps.begin(ROLE);
    match credentials::assume(aws, unlocked, &own, role).await {
        Ok(assumed) => {
            steps.pass(ROLE, format!("AWS gave temporary credentials of {role}."));
            Some(assumed)
        }
        Err(cause) => {
            steps.fail(ROLE, &cause);
            None
        }
    }
}

fn call_of(unlocked: &Unlocked) -> &'static str {
    if unlocked.connector.spec.endpoint.is_some() {
        "List the buckets"
    } else {
        "Ask AWS STS who the credentials are"
    }
}

async fn ask(engine: &Engine, unlocked: &Unlocked, credentials: &Credentials, steps: &mut Steps) {
    let reached = match &unlocked.connector.spec.endpoint {
        None => format!("AWS answered from {}.", unlocked.region()),
        Some(endpoint) => format!("The store at {endpoint} answered."),
    };
    let call = call_of(unlocked);
    steps.begin(REACH);
    match who(engine, unlocked, credentials).await {
        Ok(found) => {
            steps.pass(REACH, reached);
            steps.pass(call, found);
        }
        Err(cause) if cause.answered => {
            steps.pass(REACH, reached);
            steps.fail(call, &cause);
        }
        Err(cause) => {
            steps.fail(REACH, &cause);
            steps.skip(&[call]);
        }
    }
}

/// The one harmless call, and what it tells about the credentials.
pub(crate) async fn who(engine: &Engine, unlocked: &Unlocked, credentials: &Credentials) -> Result<String, Cause> {
    if unlocked.connector.spec.endpoint.is_none() {
        let answer = engine
            .aws()
            .sts_client(unlocked, Some(credentials))
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| classify(&error))?;
        let arn = answer.arn().unwrap_or("an identity that AWS did not name");
        return Ok(format!("Signed in as {arn}."));
    }
    let s3 = engine.aws().s3_client(unlocked, credentials, unlocked.region());
    match s3.list_buckets().send().await {
        Ok(answer) => Ok(match answer.buckets().len() {
            1 => "The credentials are valid; 1 bucket is visible.".to_owned(),
            buckets => format!("The credentials are valid; {buckets} buckets are visible."),
        }),
        // A signed refusal proves the credentials: only who they belong to may not list.
        Err(SdkError::ServiceError(error)) if error.err().code() == Some("AccessDenied") => {
            Ok("The credentials are valid; they may not list buckets, which streaming does not need.".to_owned())
        }
        Err(error) => Err(classify(&error)),
    }
}
