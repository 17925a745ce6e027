//! The endpoints of connectors, and webhooks: they must respond, and their secrets must open.

use std::collections::BTreeMap;
use std::time::Duration;

use auditstream_model::Outcome;
use futures::StreamExt as _;
use jiff::fmt::rfc2822::DateTimeParser;
use sqlx::FromRow;

use super::{Finding, clock};
use crate::Engine;
use crate::alerts::{self, Client};
use crate::connectors;
use crate::database::now;
use crate::error::Result;

const CONCURRENT: usize = 8;
/// The precision of a `Date` header.
const PRECISION: Duration = Duration::from_secs(1);

#[derive(FromRow)]
struct ConnectorRow {
    account_id: i64,
    account: String,
    identifier: String,
}

#[derive(FromRow)]
struct WebhookRow {
    account_id: i64,
    account: String,
}

/// Opens the secrets of all accounts, signs in with each connector as its connection test does,
/// contacts each webhook without sending a message, and compares the clocks of the hosts that
/// respond with this one. A failed check is a finding.
///
/// # Errors
/// If the database cannot be read.
pub async fn check_secrets_and_endpoints(engine: &Engine) -> Result<Vec<Finding>> {
    let connectors: Vec<ConnectorRow> = sqlx::query_as(
        "SELECT c.account_id, a.name AS account, c.identifier
         FROM connector c
         JOIN account a ON a.id = c.account_id
         ORDER BY a.name, c.identifier",
    )
    .fetch_all(engine.database().read())
    .await?;
    let webhooks: Vec<WebhookRow> = sqlx::query_as(
        "SELECT w.account_id, a.name AS account
         FROM webhook w
         JOIN account a ON a.id = w.account_id
         ORDER BY a.name",
    )
    .fetch_all(engine.database().read())
    .await?;
    let client = engine.webhook_client();
    let connectors = connectors.into_iter().map(|row| check_connector(engine, row));
    let connectors: Vec<_> = futures::stream::iter(connectors).buffered(CONCURRENT).collect().await;
    let webhooks = webhooks.into_iter().map(|row| check_webhook(engine, client, row));
    let webhooks: Vec<_> = futures::stream::iter(webhooks).buffered(CONCURRENT).collect().await;
    let (mut findings, endpoints): (Vec<_>, Vec<_>) = connectors.into_iter().unzip();
    findings.extend(webhooks);
    let endpoints: BTreeMap<String, String> = endpoints.into_iter().flatten().collect();
    let clocks = endpoints
        .iter()
        .map(|(endpoint, account)| check_clock(client, account, endpoint));
    let clocks: Vec<_> = futures::stream::iter(clocks).buffered(CONCURRENT).collect().await;
    findings.extend(clocks.into_iter().flatten());
    Ok(findings)
}

/// Returns the finding, and the endpoint whose clock can be compared.
async fn check_connector(engine: &Engine, row: ConnectorRow) -> (Finding, Option<(String, String)>) {
    let subject = format!("connector {}/{}", row.account, row.identifier);
    let unlocked = connectors::unlock(engine, row.account_id, &row.identifier).await;
    let connector = match unlocked {
        Ok(Some(connector)) => connector,
        Ok(None) => return (Finding::good(subject, "deleted meanwhile"), None),
        Err(error) => {
            let advice = "Start this command with the current AUDITSTREAM_MASTER_KEY, or enter the secrets again.";
            return (Finding::failed(subject, format!("{error}. {advice}")), None);
        }
    };
    let profile = &connector.profile;
    let endpoint = match &profile.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => format!("https://sts.{}.amazonaws.com", profile.region),
    };
    let test = connectors::try_connection(engine, &connector).await;
    let detail = match (&test.error, test.steps.last()) {
        (Some(error), _) => format!("{} {}", error.message, error.hint),
        (None, Some(step)) => step.detail.clone(),
        (None, None) => String::new(),
    };
    let finding = if test.status == Outcome::Success {
        Finding::good(subject, detail)
    } else {
        Finding::failed(subject, detail)
    };
    (finding, Some((endpoint, profile.account.clone())))
}

async fn check_webhook(engine: &Engine, client: &Client, row: WebhookRow) -> Finding {
    let subject = format!("webhook of {}", row.account);
    match alerts::contact(engine, client, row.account_id).await {
        Ok(Ok(())) => Finding::good(subject, "the receiver responds"),
        Ok(Err(why)) => Finding::failed(
            subject,
            format!("{why} Check its URL, DNS, firewall and proxy, and AUDITSTREAM_ENDPOINTS_PRIVATE."),
        ),
        Err(error) => {
            let advice = "Start this command with the current AUDITSTREAM_MASTER_KEY, or set the webhook again.";
            Finding::failed(subject, format!("{error}. {advice}"))
        }
    }
}

/// Returns `None` if the endpoint does not respond with a time.
async fn check_clock(client: &Client, account: &str, endpoint: &str) -> Option<Finding> {
    let url = endpoint.parse().ok()?;
    let before = now();
    let date = client.date(account, &url).await.ok()??;
    let theirs = DateTimeParser::new().parse_timestamp(&date).ok()?.as_millisecond();
    Some(clock::compare(endpoint, theirs, (before, now()), PRECISION))
}
