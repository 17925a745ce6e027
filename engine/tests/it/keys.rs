//! Key rotation while servers run.

use auditstream_engine::{Config, Engine, MasterKey, Precondition, alerts, connectors, key_rotation};
use auditstream_model::{Code, Outcome, Status, WebhookInput};
use serde_json::json;

use crate::on_both;
use crate::support::{House, connector};
use auditstream_testkit::s3::{BUCKET, Store};

const NEW_KEY: &str = "ODk4OTg5ODk4OTg5ODk4OTg5ODk4OTg5ODk4OTg5ODk=";

on_both![keys_are_rotated_while_servers_run, no_key_is_lost_during_a_rotation,];

async fn works(engine: &Engine, house: &House) -> bool {
    let test = connectors::test(engine, &house.admin, "aws").await;
    test.is_ok_and(|test| test.status == Outcome::Success)
}

async fn keys_are_rotated_while_servers_run(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let webhook = WebhookInput {
        url: "https://hooks.example.com/x".to_owned(),
        secret: Some(secret.to_owned()),
        lag_limit_seconds: None,
    };
    alerts::put(&house.engine, &house.admin, webhook, &Precondition::None)
        .await
        .unwrap();
    let other = Engine::open(house.config.clone()).await.unwrap();
    assert!(works(&other, &house).await);

    assert_eq!(key_rotation::rotate(&other, &house.admin, None).await.unwrap(), 2);
    assert_eq!(
        count(&house, "SELECT count(*) FROM data_key").await,
        1,
        "the old one is gone"
    );
    // The first server has not seen the new key, yet opens and seals with it.
    assert!(works(&house.engine, &house).await);
    assert!(alerts::get(&house.engine, &house.admin).await.is_ok());
    connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector(&store.endpoint),
        &Precondition::None,
    )
    .await
    .unwrap();
    assert!(works(&other, &house).await);

    // Another master key: both open until the old one is retired.
    let new = MasterKey::from_base64(NEW_KEY).unwrap();
    key_rotation::rotate(&house.engine, &house.admin, Some(&new))
        .await
        .unwrap();
    let with_new = Config {
        master_key: new,
        ..house.config.clone()
    };
    let renewed = Engine::open(with_new).await.unwrap();
    assert!(works(&house.engine, &house).await && works(&renewed, &house).await);
    connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector(&store.endpoint),
        &Precondition::None,
    )
    .await
    .unwrap();
    assert!(
        works(&renewed, &house).await,
        "sealed by a server with the old master key"
    );
    key_rotation::retire(&renewed, &house.admin, false).await.unwrap();
    let refused = Engine::open(house.config.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("master key"), "{refused}");
    assert!(works(&renewed, &house).await);

    // The server with the retired key cannot stream, and says why.
    key_rotation::rotate(&renewed, &house.admin, None).await.unwrap();
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    let item = house.settled(|item| item.streaming_details.failure.is_some()).await;
    let failure = item.streaming_details.failure.unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.blocked),
        ("connector", false),
        "{failure:?}"
    );
    assert!(failure.hint.contains("AUDITSTREAM_MASTER_KEY"), "{failure:?}");
    other.close().await;
    renewed.close().await;
}

async fn no_key_is_lost_during_a_rotation(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    let (engine, admin) = (&house.engine, &house.admin);
    // No other master key opens the data keys.
    assert_eq!(key_rotation::retire(engine, admin, false).await.unwrap(), 0);
    assert!(works(engine, &house).await);
    let new = MasterKey::from_base64(NEW_KEY).unwrap();
    key_rotation::rotate(engine, admin, Some(&new)).await.unwrap();
    let without_it = key_rotation::rotate(engine, admin, None).await.unwrap_err();
    assert_eq!(
        without_it.problem().code,
        Code::Conflict,
        "servers with the new key could not open it"
    );
    let by_mistake = key_rotation::retire(engine, admin, false).await.unwrap_err();
    assert_eq!(
        by_mistake.problem().code,
        Code::Conflict,
        "servers may run with the new key"
    );
    // The rotation is abandoned: the old key retires the new one.
    key_rotation::retire(engine, admin, true).await.unwrap();
    let with_new = Config {
        master_key: new,
        ..house.config.clone()
    };
    assert!(Engine::open(with_new).await.is_err());
    assert!(works(engine, &house).await);
    house.sql("DELETE FROM data_key_wrap").await;
    let lost = key_rotation::retire(engine, admin, false).await.unwrap_err();
    assert_eq!(lost.problem().code, Code::Conflict);
}

async fn count(house: &House, query: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}
