//! How a connector signs in: its access key, the host's own identity or the pod's; and on top of it the role of another
//! account.

use auditstream_model::FailureCode;
use std::time::{Duration, UNIX_EPOCH};

use auditstream_model::Credentials as Kind;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_sdk_s3::config::{Credentials, ProvideCredentials, Region};

use super::clients::Aws;
use super::failure::{Cause, classify};
use crate::connectors::Unlocked;

/// The name under which AWS's own trail knows us.
const SESSION: &str = "auditstream";

/// Signs in, and takes on the role where there is one.
pub(crate) async fn sign_in(aws: &Aws, unlocked: &Unlocked) -> Result<Credentials, Cause> {
    let own = own(aws, unlocked).await?;
    match role(unlocked) {
        Some(role_arn) => assume(aws, unlocked, &own, role_arn).await,
        None => Ok(own),
    }
}

/// The role that the connector takes on.
pub(crate) fn role(unlocked: &Unlocked) -> Option<&str> {
    let cross_account = unlocked.connector.spec.cross_account.as_ref();
    cross_account.map(|cross_account| cross_account.role_arn.as_str())
}

/// The credentials before any role of another account.
pub(crate) async fn own(aws: &Aws, unlocked: &Unlocked) -> Result<Credentials, Cause> {
    if unlocked.uses_host() && !aws.permits_host(&unlocked.account) {
        return Err(not_permitted(&unlocked.account));
    }
    match &unlocked.connector.spec.credentials {
        Kind::Manual { access_key } => access_key_of(access_key, unlocked),
        Kind::Inherit => inherited(aws, unlocked).await,
        Kind::Irsa => web_identity(aws, unlocked).await,
    }
}

fn access_key_of(access_key: &str, unlocked: &Unlocked) -> Result<Credentials, Cause> {
    let Some(secrets) = &unlocked.secrets else {
        return Err(Cause::refused(
            FailureCode::Credentials,
            "The connector has no secret key.",
            "Enter the secret key in the connector.",
            "Without its secret an access key proves nothing.",
        ));
    };
    let session_token = secrets.session_token.clone();
    Ok(Credentials::new(
        access_key,
        &secrets.secret_key,
        session_token,
        None,
        "auditstream connector",
    ))
}

/// The SDK's default chain: environment, shared files, web identity, container, instance profile.
async fn inherited(aws: &Aws, unlocked: &Unlocked) -> Result<Credentials, Cause> {
    let refused = |message: String| {
        Cause::refused(
            FailureCode::Credentials,
            message,
            "Run this server with an AWS identity (an instance profile, a task role, AWS_ACCESS_KEY_ID …), or sign in \
             with an access key.",
            "The connector inherits this host's own AWS identity, and the host has none that can be used.",
        )
    };
    let configuration = ProviderConfig::default().with_http_client(aws.http_client().clone());
    let chain = DefaultCredentialsChain::builder()
        .configure(configuration)
        .region(Region::new(unlocked.region().to_owned()));
    let found = tokio::time::timeout(aws.settings().timeouts.whole, async {
        chain.build().await.provide_credentials().await
    });
    match found.await {
        Ok(Ok(credentials)) => Ok(credentials),
        Ok(Err(error)) => Err(refused(innermost(&error))),
        Err(_) => Err(Cause {
            transient: true,
            ..refused("No identity was found in time.".to_owned())
        }),
    }
}

/// IRSA: the token in the pod's file for temporary credentials of its role.
async fn web_identity(aws: &Aws, unlocked: &Unlocked) -> Result<Credentials, Cause> {
    let refused = |message: String| {
        Cause::refused(
            FailureCode::Credentials,
            message,
            "Annotate the pod's service account with eks.amazonaws.com/role-arn and restart the pod; both \
             AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN are then set.",
            "The connector signs in as the pod's service account, which is not set up here.",
        )
    };
    let Some(identity) = &aws.settings().web_identity else {
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
    let answer = aws
        .sts_client(unlocked, None)
        .assume_role_with_web_identity()
        .role_arn(&identity.role_arn)
        .role_session_name(SESSION)
        .web_identity_token(token.trim())
        .send()
        .await
        .map_err(|error| {
            let cause = classify(&error);
            if cause.code == FailureCode::AccessDenied || cause.code == FailureCode::Credentials {
                return cause.with_hint(format!(
                    "Check the trust policy of {}: it must allow sts:AssumeRoleWithWebIdentity to the cluster's OIDC \
                     provider for this service account.",
                    identity.role_arn
                ));
            }
            cause
        })?;
    temporary(answer.credentials())
}

/// The role of another account, with the external id that is the account's own.
pub(crate) async fn assume(
    aws: &Aws,
    unlocked: &Unlocked,
    own: &Credentials,
    role_arn: &str,
) -> Result<Credentials, Cause> {
    let answer = aws
        .sts_client(unlocked, Some(own))
        .assume_role()
        .role_arn(role_arn)
        .role_session_name(SESSION)
        .external_id(&unlocked.external_id)
        .send()
        .await
        .map_err(|error| {
            let cause = classify(&error);
            if cause.code != FailureCode::AccessDenied {
                return cause;
            }
            Cause {
                hint: format!(
                    "Check that {role_arn} exists, that its trust policy allows sts:AssumeRole to the connector's identity \
                     on the condition sts:ExternalId = {}, and that the identity's own policy allows sts:AssumeRole on it.",
                    unlocked.external_id
                ),
                explanation: "AWS refuses the role: it does not exist, or its trust policy asks for something else, such as \
                              another external id."
                ,
                ..cause
            }
        })?;
    temporary(answer.credentials())
}

fn temporary(found: Option<&aws_sdk_sts::types::Credentials>) -> Result<Credentials, Cause> {
    let Some(found) = found else {
        return Err(Cause::refused(
            FailureCode::Credentials,
            "STS answered without credentials.",
            "Check AWS_ENDPOINT_URL_STS.",
            "The answer is not one of AWS STS.",
        ));
    };
    let seconds = u64::try_from(found.expiration().secs()).unwrap_or(0);
    let nanos = Duration::from_nanos(u64::from(found.expiration().subsec_nanos()));
    let expiry = UNIX_EPOCH + Duration::from_secs(seconds) + nanos;
    Ok(Credentials::new(
        found.access_key_id(),
        found.secret_access_key(),
        Some(found.session_token().to_owned()),
        Some(expiry),
        "auditstream role",
    ))
}

/// The refusal of the host's identity to an account that it is not for.
pub(crate) fn not_permitted(account: &str) -> Cause {
    Cause::refused(
        FailureCode::Credentials,
        not_permitted_sentence(account),
        "Sign in with an access key, or have whoever runs this server add the account to AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS.",
        "This server's own AWS identity belongs to whoever runs it, not to every account on it.",
    )
}

/// The same as the sentence of a field.
pub(crate) fn not_permitted_sentence(account: &str) -> String {
    format!("The account “{account}” may not use this server's own AWS identity (INHERIT, IRSA).")
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut bottom = error;
    while let Some(inner) = bottom.source() {
        bottom = inner;
    }
    format!("No AWS identity was found: {bottom}.")
}
