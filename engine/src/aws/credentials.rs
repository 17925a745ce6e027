//! Signing in: with an access key, the host's identity or the pod's, and then with the role of
//! another account.

use std::time::{Duration, UNIX_EPOCH};

use auditstream_model::{Credentials as Kind, FailureCode};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_s3::config::{Credentials, ProvideCredentials, Region};
use tokio::sync::Mutex;

use super::context::AwsContext;
use super::failure::{AwsFailure, innermost};
use super::profile::AwsProfile;
use super::started_commands::StartedCommands;
use super::sts::{not_sts, session_name, sts_client, sts_failure};

pub(super) async fn sign_in(context: &AwsContext, profile: &AwsProfile) -> Result<Credentials, AwsFailure> {
    let base = base_credentials(context, profile).await?;
    match &profile.role_arn {
        Some(role_arn) => assume_role(context, profile, &base, role_arn).await,
        None => Ok(base),
    }
}

/// Fetches the credentials before any role is assumed.
pub(crate) async fn base_credentials(context: &AwsContext, profile: &AwsProfile) -> Result<Credentials, AwsFailure> {
    if profile.uses_host() && !context.settings.permits_host(&profile.account) {
        return Err(AwsFailure::refused(
            FailureCode::Credentials,
            host_not_permitted(&profile.account),
            "Sign in with an access key, or ask the server's operator to add the account to \
             AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS.",
            "This server's AWS identity belongs to its operator and is not shared with every account.",
        ));
    }
    match &profile.credentials {
        Kind::Manual { access_key } => manual_credentials(access_key, profile),
        Kind::Inherit => inherited_credentials(context, profile).await,
        Kind::Irsa => web_identity_credentials(context, profile).await,
    }
}

fn manual_credentials(access_key: &str, profile: &AwsProfile) -> Result<Credentials, AwsFailure> {
    let Some(secrets) = &profile.secrets else {
        return Err(AwsFailure::refused(
            FailureCode::Credentials,
            "The connector has no secret key.",
            "Enter the secret key in the connector.",
            "An access key cannot sign requests without its secret key.",
        ));
    };
    Ok(Credentials::new(
        access_key,
        &secrets.secret_key,
        secrets.session_token.clone(),
        None,
        "auditstream connector",
    ))
}

/// One lookup at a time, so that each knows the commands that it has started.
static LOOKUP: Mutex<()> = Mutex::const_new(());

/// Fetches credentials from the SDK's default chain: environment, shared files (with
/// `credential_process` and SSO), web identity, container, instance profile.
async fn inherited_credentials(context: &AwsContext, profile: &AwsProfile) -> Result<Credentials, AwsFailure> {
    let refused = |message: String| {
        AwsFailure::refused(
            FailureCode::Credentials,
            message,
            "Run this server with an AWS identity (an instance profile, a task role, AWS_ACCESS_KEY_ID …), or sign in \
             with an access key.",
            "The connector inherits this host's AWS identity, and the host has no usable one.",
        )
    };
    let chain = DefaultCredentialsChain::builder()
        .configure(ProviderConfig::default().with_http_client(context.http_client.clone()))
        .region(Region::new(profile.region.clone()));
    let found = tokio::time::timeout(context.settings.timeouts.whole, async {
        let _only = LOOKUP.lock().await;
        let commands = StartedCommands::watch();
        let found = chain.build().await.provide_credentials().await;
        commands.ended();
        found
    });
    match found.await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(refused(format!("No AWS identity was found: {}.", innermost(&error)))),
        Err(_) => Err(AwsFailure {
            transient: true,
            ..refused("No AWS identity was found in time.".to_owned())
        }),
    }
}

/// Exchanges the token in the pod's file for temporary credentials of the pod's role (IRSA).
async fn web_identity_credentials(context: &AwsContext, profile: &AwsProfile) -> Result<Credentials, AwsFailure> {
    let refused = |message: String| {
        AwsFailure::refused(
            FailureCode::Credentials,
            message,
            "Annotate the pod's service account with eks.amazonaws.com/role-arn and restart the pod; both \
             AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are then set.",
            "The connector signs in as the pod's service account, which is not set up here.",
        )
    };
    let Some(identity) = &context.settings.web_identity else {
        return Err(refused(
            "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are not both set on this server.".to_owned(),
        ));
    };
    let file = &identity.token_file;
    let token = tokio::fs::read_to_string(file).await.map_err(|error| {
        refused(format!(
            "The web identity token file {} cannot be read: {error}.",
            file.display()
        ))
    })?;
    let response = sts_client(context, profile, None)
        .assume_role_with_web_identity()
        .role_arn(&identity.role_arn)
        .role_session_name(session_name(profile))
        .web_identity_token(token.trim())
        .send()
        .await
        .map_err(|error| web_identity_refused(sts_failure(&error), &identity.role_arn))?;
    temporary_credentials(response.credentials())
}

fn web_identity_refused(failure: AwsFailure, role_arn: &str) -> AwsFailure {
    if !matches!(failure.code, FailureCode::AccessDenied | FailureCode::Credentials) {
        return failure;
    }
    AwsFailure {
        hint: format!(
            "Check the trust policy of {role_arn}: it must allow sts:AssumeRoleWithWebIdentity to the cluster's OIDC \
             provider for this service account."
        ),
        ..failure
    }
}

/// Assumes a role of another AWS account, with our account's external id.
pub(crate) async fn assume_role(
    context: &AwsContext,
    profile: &AwsProfile,
    base: &Credentials,
    role_arn: &str,
) -> Result<Credentials, AwsFailure> {
    let response = sts_client(context, profile, Some(base))
        .assume_role()
        .role_arn(role_arn)
        .role_session_name(session_name(profile))
        .external_id(&profile.external_id)
        .send()
        .await
        .map_err(|error| role_refused(sts_failure(&error), role_arn, &profile.external_id))?;
    temporary_credentials(response.credentials())
}

fn role_refused(failure: AwsFailure, role_arn: &str, external_id: &str) -> AwsFailure {
    if failure.code != FailureCode::AccessDenied {
        return failure;
    }
    AwsFailure {
        hint: format!(
            "Check that {role_arn} exists, that its trust policy allows sts:AssumeRole to the connector's identity \
             on the condition sts:ExternalId = {external_id}, and that the identity's policy allows sts:AssumeRole on \
             it."
        ),
        explanation: "AWS refuses the role: it does not exist, or its trust policy requires something else, such as \
                      another external id.",
        ..failure
    }
}

fn temporary_credentials(found: Option<&aws_sdk_sts::types::Credentials>) -> Result<Credentials, AwsFailure> {
    let Some(found) = found.filter(|found| !found.access_key_id().is_empty()) else {
        return Err(not_sts());
    };
    let seconds = u64::try_from(found.expiration().secs()).unwrap_or(0);
    let nanos = Duration::from_nanos(u64::from(found.expiration().subsec_nanos()));
    Ok(Credentials::new(
        found.access_key_id(),
        found.secret_access_key(),
        Some(found.session_token().to_owned()),
        Some(UNIX_EPOCH + Duration::from_secs(seconds) + nanos),
        "auditstream role",
    ))
}

pub(crate) fn host_not_permitted(account: &str) -> String {
    format!("The account “{account}” may not use this server's AWS identity (INHERIT, IRSA).")
}
