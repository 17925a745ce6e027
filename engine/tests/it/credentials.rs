//! How connectors sign in, against an STS that checks every request and a store that accepts the
//! credentials that it issues.

use std::time::{Duration, SystemTime};

use auditstream_engine::Precondition;
use auditstream_engine::{Actor, AwsSettings, WebIdentity, access, connectors, destinations};
use auditstream_model::{AccountName, BucketCheckInput, ConnectionTest, ConnectorInput, Outcome, Status};
use serde_json::json;

use crate::support::{House, On, connector, dense, events};
use auditstream_testkit::s3::{BUCKET, Key, SECRET, Store};
use auditstream_testkit::sts::{POD_ROLE, POD_TOKEN, ROLE, Sts};

struct Street {
    house: House,
    store: Store,
    sts: Sts,
    settings: AwsSettings,
}

impl Street {
    async fn open() -> Self {
        let store = Store::start().await;
        let sts = Sts::start(&store.keys).await;
        let settings = AwsSettings {
            sts_endpoint: Some(sts.endpoint.clone()),
            ..AwsSettings::default()
        };
        Self {
            house: House::open_with(On::Sqlite, settings.clone()).await,
            store,
            sts,
            settings,
        }
    }

    fn connector(&self, credentials: serde_json::Value, role: Option<&str>) -> ConnectorInput {
        let mut input = connector(&self.store.endpoint);
        input.spec.credentials = serde_json::from_value(credentials).unwrap();
        input.spec.cross_account = role.map(|role| serde_json::from_value(json!({"role_arn": role})).unwrap());
        input
    }

    async fn connect(&self, credentials: serde_json::Value, role: Option<&str>) {
        let input = self.connector(credentials, role);
        connectors::create(&self.house.engine, &self.house.admin, input)
            .await
            .unwrap();
    }

    async fn test(&self) -> ConnectionTest {
        connectors::test(&self.house.engine, &self.house.admin, "aws")
            .await
            .unwrap()
    }

    async fn external_id(&self) -> String {
        let shown = connectors::get(&self.house.engine, &self.house.admin, "aws")
            .await
            .unwrap();
        assert!(shown.external_id.len() >= 16);
        shown.external_id
    }

    async fn stream(&self) {
        self.house.destination(BUCKET, json!({})).await;
        self.house.send(&events()[..5]).await;
        self.house.toggle(Status::Active).await;
    }
}

fn manual() -> serde_json::Value {
    json!({"type": "MANUAL", "access_key": "AKIATEST", "secret_key": SECRET})
}

fn step<'a>(test: &'a ConnectionTest, name: &str) -> &'a auditstream_model::TestStep {
    test.steps.iter().find(|step| step.name.contains(name)).unwrap()
}

#[tokio::test]
async fn a_role_is_assumed_with_the_external_id_of_the_account() {
    let street = Street::open().await;
    street.connect(manual(), Some(ROLE)).await;
    street.sts.trust(ROLE, &street.external_id().await);
    let test = street.test().await;
    assert_eq!(test.status, Outcome::Success, "{test:?}");
    assert!(step(&test, "role").detail.contains(ROLE));
    street.stream().await;
    street.house.streamed().await;
    street.house.send(&events()[5..9]).await;
    street.house.streamed().await;
    assert!(dense(&street.store.sequences(BUCKET)));
    // One for the connection test, one for all streaming.
    assert_eq!(
        street.sts.calls("AssumeRole"),
        2,
        "credentials are kept from PUT to PUT"
    );
}

#[tokio::test]
async fn another_external_id_or_an_unknown_role_is_refused_with_a_hint() {
    let street = Street::open().await;
    street.connect(manual(), Some(ROLE)).await;
    let own = street.external_id().await;
    for trusted in [Some("another-account"), None] {
        if let Some(external_id) = trusted {
            street.sts.trust(ROLE, external_id);
        } else {
            street.sts.state.lock().unwrap().roles.clear();
        }
        let test = street.test().await;
        assert_eq!(test.status, Outcome::Failure);
        assert_eq!(step(&test, "credentials").status, Outcome::Success);
        assert_eq!(step(&test, "role").status, Outcome::Failure);
        assert_eq!(step(&test, "Reach").status, Outcome::Skipped);
        let error = test.error.unwrap();
        assert!(
            error.hint.contains("trust policy") && error.hint.contains(&own),
            "{error:?}"
        );
        assert!(error.message.contains("AccessDenied"), "{error:?}");
    }
    street.stream().await;
    let failing = street
        .house
        .settled(|item| item.streaming_details.failure.is_some())
        .await;
    let failure = failing.streaming_details.failure.unwrap();
    assert_eq!(failure.code.as_str(), "access_denied");
    assert_eq!(failure.request_id.as_deref(), Some("sts-request-1"));
    assert!(street.store.objects(BUCKET).is_empty());
    assert_eq!(street.house.batches().await[0].attempts, 0, "nothing was sent");
    street.sts.trust(ROLE, &own);
    street.house.streamed().await;
    assert!(dense(&street.store.sequences(BUCKET)));
}

#[tokio::test]
async fn no_account_assumes_a_role_that_trusts_another_account() {
    let street = Street::open().await;
    let engine = &street.house.engine;
    street.connect(manual(), Some(ROLE)).await;
    street.sts.trust(ROLE, &street.external_id().await);
    assert_eq!(street.test().await.status, Outcome::Success);
    let tenant = AccountName::parse("tenant").unwrap();
    access::create_account(engine, &tenant).await.unwrap();
    let tenant = Actor::command_line(engine, &tenant).await.unwrap();
    // The same connector with the same keys.
    let made = connectors::create(engine, &tenant, street.connector(manual(), Some(ROLE)))
        .await
        .unwrap();
    assert_ne!(made.external_id, street.external_id().await);
    let test = connectors::test(engine, &tenant, "aws").await.unwrap();
    assert_eq!(step(&test, "role").status, Outcome::Failure, "{test:?}");
    let spec = serde_json::from_value(json!({"type": "AWS_S3", "bucket": BUCKET})).unwrap();
    let input = BucketCheckInput {
        connector_ref: "aws".into(),
        spec,
    };
    let check = destinations::check_unsaved_bucket(engine, &tenant, input)
        .await
        .unwrap();
    assert_eq!(check.status, Outcome::Failure);
    assert!(check.error.unwrap().hint.contains(&made.external_id));
    let host = street.connector(json!({"type": "INHERIT"}), None);
    let refused = connectors::replace(engine, &tenant, "aws", host, &Precondition::None)
        .await
        .unwrap_err()
        .problem();
    assert!(refused.of("spec.credentials.type").unwrap().contains("tenant"));
}

#[tokio::test]
async fn temporary_credentials_are_refreshed_before_they_expire() {
    let street = Street::open().await;
    street.connect(manual(), Some(ROLE)).await;
    street.sts.trust(ROLE, &street.external_id().await);
    street.sts.life(Duration::from_secs(6));
    street.stream().await;
    street.house.streamed().await;
    for event in &events()[5..12] {
        street.house.send(std::slice::from_ref(event)).await;
        street.house.streamed().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert!(dense(&street.store.sequences(BUCKET)));
    assert!(street.sts.calls("AssumeRole") >= 2, "they last 6 s");
    assert!(
        street.house.batches().await.iter().all(|batch| batch.attempts == 1),
        "none was refused for having expired"
    );
}

#[tokio::test]
async fn while_sts_is_down_credentials_are_used_until_they_expire() {
    let street = Street::open().await;
    street.connect(manual(), Some(ROLE)).await;
    street.sts.trust(ROLE, &street.external_id().await);
    let given = tokio::time::Instant::now();
    street.sts.life(Duration::from_secs(15));
    street.stream().await;
    street.house.streamed().await;
    street.sts.state.lock().unwrap().down = true;
    // After two thirds of their lifetime they are due for renewal.
    tokio::time::sleep_until(given + Duration::from_millis(10_500)).await;
    for events in [&events()[5..7], &events()[7..9]] {
        street.house.send(events).await;
        street.house.streamed().await;
    }
    assert!(street.house.batches().await.iter().all(|batch| batch.attempts == 1));
    assert_eq!(
        street.sts.state.lock().unwrap().missed,
        1,
        "STS is not asked at every attempt"
    );
    tokio::time::sleep_until(given + Duration::from_secs(16)).await;
    street.house.send(&events()[9..12]).await;
    destinations::stream_now(&street.house.engine, &street.house.admin, "siem")
        .await
        .unwrap();
    let failing = street
        .house
        .settled(|item| item.streaming_details.failure.is_some())
        .await;
    assert_eq!(failing.streaming_details.failure.unwrap().code.as_str(), "network");
    street.sts.state.lock().unwrap().down = false;
    street.house.streamed().await;
    street.house.streamed().await;
    assert!(dense(&street.store.sequences(BUCKET)));
}

#[tokio::test]
async fn a_session_token_is_sent_and_an_expired_one_is_reported() {
    let street = Street::open().await;
    let key = |expires| Key {
        secret: SECRET.into(),
        token: Some("session".into()),
        expires: Some(expires),
        arn: "arn:aws:sts::123456789012:federated-user/ada".into(),
    };
    let keys = std::sync::Arc::clone(&street.store.keys);
    keys.lock()
        .unwrap()
        .insert("ASIATEMP".into(), key(SystemTime::now() + Duration::from_secs(60)));
    let temporary =
        json!({"type": "MANUAL", "access_key": "ASIATEMP", "secret_key": SECRET, "session_token": "session"});
    street.connect(temporary, Some(ROLE)).await;
    street.sts.trust(ROLE, &street.external_id().await);
    assert_eq!(street.test().await.status, Outcome::Success);
    keys.lock()
        .unwrap()
        .insert("ASIATEMP".into(), key(SystemTime::now() - Duration::from_secs(1)));
    let test = street.test().await;
    assert_eq!(test.status, Outcome::Failure);
    let error = test.error.unwrap();
    assert!(
        error.hint.contains("fresh credentials") && error.message.contains("ExpiredToken"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_pod_signs_in_with_its_service_account_or_reports_that_it_has_none() {
    let street = Street::open().await;
    street.connect(json!({"type": "IRSA"}), None).await;
    let without = street.test().await;
    assert_eq!(without.status, Outcome::Failure);
    assert!(without.error.unwrap().message.contains("AWS_WEB_IDENTITY_TOKEN_FILE"));
    let token_file = street.house.folder.path().join("token");
    let settings = AwsSettings {
        web_identity: Some(WebIdentity {
            token_file: token_file.clone(),
            role_arn: POD_ROLE.into(),
        }),
        ..street.settings.clone()
    };
    let street = Street {
        house: street.house.restart_with(settings.clone()).await,
        settings,
        ..street
    };
    let no_file = street.test().await;
    assert!(no_file.error.unwrap().message.contains("cannot be read"));
    std::fs::write(&token_file, "another token").unwrap();
    let wrong = street.test().await.error.unwrap();
    assert!(
        wrong.message.contains("InvalidIdentityToken") && wrong.hint.contains("trust policy"),
        "{wrong:?}"
    );
    std::fs::write(&token_file, format!("{POD_TOKEN}\n")).unwrap();
    let test = street.test().await;
    assert_eq!(test.status, Outcome::Success, "{test:?}");
    street.stream().await;
    street.house.streamed().await;
    assert!(dense(&street.store.sequences(BUCKET)));
}

#[tokio::test]
async fn the_host_identity_is_reserved_for_the_named_accounts() {
    let street = Street::open().await;
    street.connect(json!({"type": "IRSA"}), None).await;
    street.house.destination(BUCKET, json!({})).await;
    let no_account = AwsSettings {
        host_accounts: vec![AccountName::parse("tenant").unwrap()],
        web_identity: Some(WebIdentity {
            token_file: street.house.folder.path().join("token"),
            role_arn: POD_ROLE.into(),
        }),
        ..street.settings.clone()
    };
    std::fs::write(street.house.folder.path().join("token"), POD_TOKEN).unwrap();
    let street = Street {
        house: street.house.restart_with(no_account).await,
        ..street
    };
    for kind in ["INHERIT", "IRSA"] {
        let mut input = street.connector(json!({"type": kind}), None);
        let replaced = connectors::replace(
            &street.house.engine,
            &street.house.admin,
            "aws",
            input.clone(),
            &Precondition::None,
        )
        .await;
        input.identifier = "second".into();
        let made = connectors::create(&street.house.engine, &street.house.admin, input).await;
        for refused in [replaced, made] {
            let problem = refused.unwrap_err().problem();
            assert!(
                problem.of("spec.credentials.type").unwrap().contains("default"),
                "{problem:?}"
            );
        }
    }
    let test = street.test().await;
    assert!(
        test.error
            .unwrap()
            .hint
            .contains("AUDITSTREAM_HOST_CREDENTIALS_ACCOUNTS")
    );
    street.house.send(&events()[..3]).await;
    street.house.toggle(Status::Active).await;
    let failing = street
        .house
        .settled(|item| item.streaming_details.failure.is_some())
        .await;
    assert_eq!(failing.streaming_details.failure.unwrap().code.as_str(), "credentials");
    assert!(street.store.objects(BUCKET).is_empty());
    assert_eq!(street.sts.calls("AssumeRoleWithWebIdentity"), 0);
}

#[tokio::test]
async fn a_changed_connector_takes_effect_at_the_next_attempt() {
    let street = Street::open().await;
    street.connect(manual(), None).await;
    street.stream().await;
    street.house.streamed().await;
    let before = street.store.objects(BUCKET).len();
    let other = Store::start().await;
    connectors::replace(
        &street.house.engine,
        &street.house.admin,
        "aws",
        connector(&other.endpoint),
        &Precondition::None,
    )
    .await
    .unwrap();
    street.house.send(&events()[5..9]).await;
    street.house.streamed().await;
    assert_eq!(
        street.store.objects(BUCKET).len(),
        before,
        "nothing more goes to the old one"
    );
    let all = [street.store.sequences(BUCKET), other.sequences(BUCKET)].concat();
    assert!(dense(&all), "{all:?}");
}

#[tokio::test]
async fn streaming_resumes_once_wrong_credentials_are_corrected() {
    let street = Street::open().await;
    let wrong = json!({"type": "MANUAL", "access_key": "AKIATEST", "secret_key": "wrong"});
    street.connect(wrong, None).await;
    street.stream().await;
    let failing = street
        .house
        .settled(|item| item.streaming_details.failure.is_some())
        .await;
    assert_eq!(failing.streaming_details.failure.unwrap().code.as_str(), "credentials");
    let corrected = street.connector(manual(), None);
    connectors::replace(
        &street.house.engine,
        &street.house.admin,
        "aws",
        corrected,
        &Precondition::None,
    )
    .await
    .unwrap();
    street.house.streamed().await;
    street.house.streamed().await;
    assert!(dense(&street.store.sequences(BUCKET)));
}

#[tokio::test]
async fn without_an_endpoint_aws_identifies_the_credentials() {
    let street = Street::open().await;
    let mut input = street.connector(manual(), None);
    input.spec.endpoint = None;
    connectors::create(&street.house.engine, &street.house.admin, input.clone())
        .await
        .unwrap();
    let test = street.test().await;
    assert!(
        step(&test, "STS")
            .detail
            .contains("arn:aws:iam::123456789012:user/audit"),
        "{test:?}"
    );
    street.sts.trust(ROLE, &street.external_id().await);
    input.spec.cross_account = Some(serde_json::from_value(json!({"role_arn": ROLE})).unwrap());
    connectors::replace(
        &street.house.engine,
        &street.house.admin,
        "aws",
        input.clone(),
        &Precondition::None,
    )
    .await
    .unwrap();
    let test = street.test().await;
    assert!(
        step(&test, "STS").detail.contains(&format!("{ROLE}/auditstream")),
        "{test:?}"
    );
    input.spec.cross_account = None;
    input.spec.credentials =
        serde_json::from_value(json!({"type": "MANUAL", "access_key": "AKIATEST", "secret_key": "wrong"})).unwrap();
    connectors::replace(
        &street.house.engine,
        &street.house.admin,
        "aws",
        input,
        &Precondition::None,
    )
    .await
    .unwrap();
    let test = street.test().await;
    assert_eq!(
        (step(&test, "Reach").status, step(&test, "STS").status),
        (Outcome::Success, Outcome::Failure)
    );
    let error = test.error.unwrap();
    assert!(
        error.message.contains("SignatureDoesNotMatch") && error.hint.contains("secret key"),
        "{error:?}"
    );
}
