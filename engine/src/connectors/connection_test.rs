//! The connection test: signs in, and makes one harmless call that requires valid credentials. As
//! in the reference, it never accesses a bucket.

use auditstream_model::{ConnectionTest, Credentials as Kind, Outcome, Permission, TestProgress};
use aws_sdk_s3::config::Credentials;
use futures::Stream;
use futures::channel::mpsc;
use serde_json::json;
use tracing::Instrument as _;

use super::secrets::ConnectorWithSecrets;
use super::test_steps::{Steps, describe};
use super::{rows, secrets};
use crate::aws::credentials::{assume_role, base_credentials};
use crate::aws::identity::identify_credentials;
use crate::aws::{Aws, AwsProfile};
use crate::error::{Error, Result};
use crate::task::outlive_request;
use crate::trail::self_audit::{Change, record};
use crate::{Actor, Engine};

const RESOLVE: &str = "Find the credentials";
const ROLE: &str = "Assume the role";
const REACH: &str = "Reach the endpoint";

/// Tests a connector with STS GetCallerIdentity, or with ListBuckets if it has a custom endpoint,
/// which has no STS. Always signs in anew. A failed test is a result, not an error. The test is
/// completed even if the caller is dropped.
pub async fn test(engine: &Engine, actor: &Actor, identifier: &str) -> Result<ConnectionTest> {
    let connector = unlock(engine, actor, identifier).await?;
    outlive_request(
        engine.ongoing_work(),
        run_test(engine.clone(), actor.clone(), connector, Steps::default()),
    )
    .await
}

async fn run_test(
    engine: Engine,
    actor: Actor,
    connector: ConnectorWithSecrets,
    steps: Steps,
) -> Result<ConnectionTest> {
    let result = run_steps(engine.aws(), &connector.profile, steps).await;
    record_test(&engine, &actor, &connector.profile.identifier, &result).await?;
    Ok(result)
}

/// Tests a connector like [`test`], without a record in the trail.
pub(crate) async fn try_connection(engine: &Engine, connector: &ConnectorWithSecrets) -> ConnectionTest {
    run_steps(engine.aws(), &connector.profile, Steps::default()).await
}

/// Tests a connector like [`test`], and reports its progress: the plan, the beginning and the end
/// of each step, and the result. The test continues if the stream is dropped. The stream ends
/// without a result if the test cannot be recorded in the trail.
///
/// # Errors
/// See [`test`].
pub async fn watch_test(
    engine: &Engine,
    actor: &Actor,
    identifier: &str,
) -> Result<impl Stream<Item = TestProgress> + Send + use<>> {
    let connector = unlock(engine, actor, identifier).await?;
    let (watcher, progress) = mpsc::unbounded();
    drop(watcher.unbounded_send(TestProgress::Planned(plan(&connector.profile))));
    let steps = Steps::watched(watcher.clone());
    let (engine, test) = (
        engine.clone(),
        run_test(engine.clone(), actor.clone(), connector, steps),
    );
    let watched = async move {
        // Sending fails when the client has disconnected.
        match outlive_request(engine.ongoing_work(), test).await {
            Ok(result) => drop(watcher.unbounded_send(TestProgress::Done(result))),
            Err(error) => tracing::error!(%error, "cannot record a connection test in the trail"),
        }
    };
    tokio::spawn(watched.in_current_span());
    Ok(progress)
}

async fn unlock(engine: &Engine, actor: &Actor, identifier: &str) -> Result<ConnectorWithSecrets> {
    actor.require(Permission::EditConnector)?;
    let connector = secrets::unlock(engine, actor.account_id(), identifier).await?;
    connector.ok_or_else(|| Error::not_found("connector", identifier))
}

async fn record_test(engine: &Engine, actor: &Actor, identifier: &str, result: &ConnectionTest) -> Result<()> {
    let failed = result.steps.iter().find(|step| step.status == Outcome::Failure);
    let summary = json!({"status": result.status, "failed_step": failed.map(|step| &step.name)});
    engine
        .database()
        .transaction("test_connector", async |tx| {
            let change = Change::of(rows::KIND, identifier, "TEST", (), &summary);
            record(tx, actor, change).await.map(drop)
        })
        .await
}

fn plan(profile: &AwsProfile) -> Vec<String> {
    let role = profile.role_arn.as_ref().map(|_| ROLE);
    let names = [Some(RESOLVE), role, Some(REACH), Some(identify_step(profile))];
    names.into_iter().flatten().map(str::to_owned).collect()
}

fn identify_step(profile: &AwsProfile) -> &'static str {
    if profile.endpoint.is_some() {
        "List the buckets"
    } else {
        "Ask AWS STS for the identity"
    }
}

async fn run_steps(aws: &Aws, profile: &AwsProfile, mut steps: Steps) -> ConnectionTest {
    if let Some(credentials) = sign_in(aws, profile, &mut steps).await {
        identify(aws, profile, &credentials, &mut steps).await;
    } else {
        steps.skip(&[REACH, identify_step(profile)]);
    }
    let (status, steps, error) = steps.finish();
    ConnectionTest { status, steps, error }
}

async fn sign_in(aws: &Aws, profile: &AwsProfile, steps: &mut Steps) -> Option<Credentials> {
    let role = profile.role_arn.as_deref();
    steps.begin(RESOLVE);
    let base = match base_credentials(aws.context(), profile).await {
        Ok(base) => base,
        Err(failure) => {
            steps.fail(RESOLVE, &failure);
            if role.is_some() {
                steps.skip(&[ROLE]);
            }
            return None;
        }
    };
    let found = match &profile.credentials {
        Kind::Manual { access_key } => format!("The access key {access_key} and its secret key."),
        Kind::Inherit => format!("This host's identity: access key {}.", base.access_key_id()),
        Kind::Irsa => format!(
            "The pod's service account: temporary access key {}.",
            base.access_key_id()
        ),
    };
    steps.pass(RESOLVE, found);
    let Some(role) = role else { return Some(base) };
    steps.begin(ROLE);
    match assume_role(aws.context(), profile, &base, role).await {
        Ok(assumed) => {
            steps.pass(ROLE, format!("AWS returned temporary credentials of {role}."));
            Some(assumed)
        }
        Err(failure) => {
            steps.fail(ROLE, &failure);
            None
        }
    }
}

async fn identify(aws: &Aws, profile: &AwsProfile, credentials: &Credentials, steps: &mut Steps) {
    let reached = match &profile.endpoint {
        None => format!("AWS responded from {}.", profile.region),
        Some(endpoint) => format!("The store at {endpoint} responded."),
    };
    let step = identify_step(profile);
    steps.begin(REACH);
    match identify_credentials(aws, profile, credentials).await {
        Ok(found) => {
            steps.pass(REACH, reached);
            steps.pass(step, describe(&found, &profile.region));
        }
        Err(failure) if failure.responded => {
            steps.pass(REACH, reached);
            steps.fail(step, &failure);
        }
        Err(failure) => {
            steps.fail(REACH, &failure);
            steps.skip(&[step]);
        }
    }
}
