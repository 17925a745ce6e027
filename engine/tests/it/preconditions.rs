//! Changes with `If-Match`.

use auditstream_engine::{Precondition, Version, alerts, connectors, destinations};
use auditstream_model::{Code, Status, WebhookInput};
use serde_json::json;

use crate::on_both;
use crate::support::{House, connector, destination};
use auditstream_testkit::s3::Store;

on_both![
    a_stale_precondition_refuses_changes_of_a_destination,
    a_stale_precondition_refuses_changes_of_a_connector,
    a_stale_precondition_refuses_changes_of_a_webhook,
    of_two_changes_with_the_same_precondition_one_succeeds,
];

fn only(view: &impl serde::Serialize) -> Precondition {
    Precondition::OneOf(vec![Version::of(view).unwrap().as_str().to_owned()])
}

async fn a_stale_precondition_refuses_changes_of_a_destination(house: House) {
    let (engine, admin) = (&house.engine, &house.admin);
    house.connect(&Store::start().await).await;
    let made = destinations::create(engine, admin, destination("logs", json!({})))
        .await
        .unwrap();
    let read = only(&made);
    let id = made.streaming_destination.identifier.as_str();
    let mut named = destination("logs", json!({}));
    named.name = "Another".into();
    let changed = destinations::replace(engine, admin, id, named.clone(), &read)
        .await
        .unwrap();
    assert_eq!(
        Version::of(&changed).unwrap(),
        Version::of(&destinations::get(engine, admin, id).await.unwrap()).unwrap()
    );
    for refused in [
        destinations::replace(engine, admin, id, destination("logs", json!({})), &read)
            .await
            .map(drop),
        destinations::move_cursor(engine, admin, id, 0, &read).await.map(drop),
        destinations::delete(engine, admin, id, &read).await,
    ] {
        assert_eq!(refused.unwrap_err().problem().code, Code::PreconditionFailed);
    }
    let kept = destinations::get(engine, admin, id).await.unwrap();
    assert_eq!(kept, changed, "a refusal changes nothing");
    let active = destinations::set_status(engine, admin, id, Status::Active)
        .await
        .unwrap();
    let paused = destinations::set_status(engine, admin, id, Status::Inactive)
        .await
        .unwrap();
    assert!(
        changed.updated < active.updated && active.updated < paused.updated,
        "two changes always have different times"
    );
    let moved = destinations::move_cursor(engine, admin, id, 0, &only(&paused))
        .await
        .unwrap();
    assert_ne!(Version::of(&moved).unwrap(), Version::of(&paused).unwrap());
    destinations::delete(engine, admin, id, &only(&moved)).await.unwrap();
    let gone = destinations::delete(engine, admin, id, &only(&moved))
        .await
        .unwrap_err();
    assert_eq!(gone.problem().code, Code::NotFound);
}

async fn a_stale_precondition_refuses_changes_of_a_connector(house: House) {
    let (engine, admin) = (&house.engine, &house.admin);
    let first = connectors::create(engine, admin, connector("http://127.0.0.1:1"))
        .await
        .unwrap();
    let read = only(&first);
    // Only the secret changes; nothing that is shown differs.
    let changed = connectors::replace(engine, admin, "aws", connector("http://127.0.0.1:1"), &read)
        .await
        .unwrap();
    assert_ne!(Version::of(&changed).unwrap(), Version::of(&first).unwrap());
    for refused in [
        connectors::replace(engine, admin, "aws", connector("http://127.0.0.1:1"), &read)
            .await
            .map(drop),
        connectors::delete(engine, admin, "aws", &read).await,
    ] {
        assert_eq!(refused.unwrap_err().problem().code, Code::PreconditionFailed);
    }
    assert_eq!(connectors::get(engine, admin, "aws").await.unwrap(), changed);
    connectors::delete(engine, admin, "aws", &Precondition::Exists)
        .await
        .unwrap();
}

async fn a_stale_precondition_refuses_changes_of_a_webhook(house: House) {
    let (engine, admin) = (&house.engine, &house.admin);
    let sent = |secret: &str| WebhookInput {
        url: "http://127.0.0.1:1/".into(),
        secret: Some(format!("whsec_{}", secret.repeat(32))),
        lag_limit_seconds: None,
    };
    let none = alerts::put(engine, admin, sent("a"), &Precondition::Exists)
        .await
        .unwrap_err();
    assert_eq!(none.problem().code, Code::PreconditionFailed);
    let first = alerts::put(engine, admin, sent("a"), &Precondition::None)
        .await
        .unwrap();
    let changed = alerts::put(engine, admin, sent("b"), &only(&first)).await.unwrap();
    for refused in [
        alerts::put(engine, admin, sent("c"), &only(&first)).await.map(drop),
        alerts::remove(engine, admin, &only(&first)).await,
    ] {
        assert_eq!(refused.unwrap_err().problem().code, Code::PreconditionFailed);
    }
    assert_eq!(alerts::get(engine, admin).await.unwrap(), changed);
    alerts::remove(engine, admin, &only(&changed)).await.unwrap();
}

async fn of_two_changes_with_the_same_precondition_one_succeeds(house: House) {
    let (engine, admin) = (&house.engine, &house.admin);
    house.connect(&Store::start().await).await;
    destinations::create(engine, admin, destination("logs", json!({})))
        .await
        .unwrap();
    let id = destination("logs", json!({})).identifier;
    for round in 0..20 {
        let read = only(&destinations::get(engine, admin, &id).await.unwrap());
        let read_connector = only(&connectors::get(engine, admin, "aws").await.unwrap());
        let named = |who: &str| {
            let mut input = destination("logs", json!({}));
            input.name = format!("{who} {round}");
            destinations::replace(engine, admin, &id, input, &read)
        };
        let (one, other) = tokio::join!(named("one"), named("other"));
        let made: Vec<_> = [&one, &other].into_iter().flatten().collect();
        assert_eq!(made.len(), 1, "{one:?} {other:?}");
        assert_eq!(&destinations::get(engine, admin, &id).await.unwrap(), made[0]);
        let same = || connectors::replace(engine, admin, "aws", connector("http://127.0.0.1:1"), &read_connector);
        let (one, other) = tokio::join!(same(), same());
        assert_eq!([one.is_ok(), other.is_ok()].into_iter().filter(|made| *made).count(), 1);
    }
}
