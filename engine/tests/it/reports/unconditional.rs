//! Stores without conditional writes, which an admin's choice permits (rule 7).

use std::sync::Mutex;
use std::time::Duration;

use auditstream_engine::trail::search;
use auditstream_engine::{Precondition, connectors, destinations};
use auditstream_model::{BatchStatus, EventFilter, Outcome, Status};
use auditstream_testkit::raw_http::Request;
use auditstream_testkit::responder::{Reply, Responder};
use auditstream_testkit::s3::{BUCKET, Proxy, Store};
use serde_json::json;

use super::not_s3::{check, failure};
use crate::support::{House, On, connector, dense, destination, events};

async fn scene() -> (House, Store, Proxy) {
    let store = Store::start().await;
    let proxy = Proxy::start(&store).await;
    proxy.state.lock().unwrap().lacks_condition = true;
    let house = House::open(On::Sqlite).await;
    connectors::create(&house.engine, &house.admin, connector(&proxy.endpoint))
        .await
        .unwrap();
    house.destination(BUCKET, json!({})).await;
    (house, store, proxy)
}

async fn choose(house: &House, chosen: bool) {
    let mut input = destination(BUCKET, json!({"unconditional_writes": chosen}));
    input.status = None;
    destinations::replace(&house.engine, &house.admin, "siem", input, &Precondition::None)
        .await
        .unwrap();
}

#[tokio::test]
async fn not_implemented_501() {
    let (house, store, proxy) = scene().await;
    house.send(&events()[..3]).await;
    house.toggle(Status::Active).await;
    let shown = failure(&house).await;
    assert_eq!(shown.code.as_str(), "conditional_writes", "{shown:?}");
    assert!(shown.hint.contains("Write without conditions"), "{shown:?}");
    let batch = house.batches().await.remove(0);
    assert_eq!((batch.status, batch.attempts), (BatchStatus::Failed, 1), "permanent");
    assert!(batch.may_be_at.is_empty(), "nothing was stored");
    let found = check(&house).await;
    assert_eq!(
        (found.status, found.conditional_writes),
        (Outcome::Failure, Some(false))
    );
    let failed: Vec<_> = found
        .steps
        .iter()
        .filter(|step| step.status != Outcome::Success)
        .collect();
    assert_eq!(failed.len(), 1, "all else works: {found:?}");
    assert!(found.error.unwrap().hint.contains("Write without conditions"));

    proxy.state.lock().unwrap().methods.clear();
    choose(&house, true).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    let methods = proxy.state.lock().unwrap().methods.clone();
    assert_eq!(methods[..2], ["HEAD", "PUT"], "a look before the PUT");
    let found = check(&house).await;
    assert_eq!(
        (found.status, found.conditional_writes),
        (Outcome::Success, Some(false)),
        "{found:?}"
    );
    assert!(
        found
            .steps
            .iter()
            .any(|step| step.detail.contains("overwritten by another client"))
    );
    let filter = EventFilter {
        action: Some("UPDATE".into()),
        ..EventFilter::default()
    };
    let audited = search(&house.engine, &house.admin, &filter).await.unwrap().events;
    assert!(
        audited[0].json.contains("\"unconditional_writes\":true"),
        "the choice is audited"
    );
}

/// Rule 7: the look finds an object of another program, and the object stays.
#[tokio::test]
async fn without_conditions_an_object_of_another_program_is_not_overwritten() {
    let (house, store, _proxy) = scene().await;
    choose(&house, true).await;
    house.send(&events()[..1]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    // The key of the next batch is known once an attempt has failed.
    store.next(&[auditstream_testkit::s3::Fault::Deny]);
    house.send(&events()[1..2]).await;
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    failure(&house).await;
    let key = house.batches().await[0].key.clone();
    let path = store.path(BUCKET, &key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "another writer's").unwrap();
    destinations::stream_now(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    house
        .settled(|item| {
            let failure = item.streaming_details.failure.as_ref();
            failure.is_some_and(|failure| failure.code.as_str() == "object_exists")
        })
        .await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another writer's");
}

/// Rule 9: the look is a separate request before the PUT. A pause during it prevents the PUT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_during_the_look_prevents_the_put() {
    let (released, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let server = Responder::start(move |request: &Request| match request.method.as_str() {
        "HEAD" => {
            tokio::task::block_in_place(|| gate.lock().unwrap().recv()).unwrap();
            Reply::new(404, "")
        }
        "PUT" => Reply::new(200, "").with("etag", "\"1\""),
        _ => Reply::error(403, "AccessDenied", "no"),
    })
    .await;
    let house = House::open(On::Sqlite).await;
    connectors::create(&house.engine, &house.admin, connector(&server.endpoint))
        .await
        .unwrap();
    house.destination(BUCKET, json!({"unconditional_writes": true})).await;
    house.send(&events()[..1]).await;
    house.toggle(Status::Active).await;
    let mut connection = house.connection().await;
    let mut counted =
        async |query: &'static str| -> i64 { sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap() };
    while counted("SELECT count(*) FROM streaming_batch WHERE attempts = 1").await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    house.toggle(Status::Inactive).await;
    released.send(()).unwrap();
    while counted("SELECT count(*) FROM streaming_destination WHERE lease_replica IS NOT NULL").await == 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let puts = server.requests().into_iter().filter(|request| request.method == "PUT");
    assert_eq!(puts.count(), 0);
}

/// In a bucket with versions, the newest version of a deleted object is a delete marker.
#[tokio::test]
async fn an_object_that_was_deleted_from_a_bucket_with_versions_is_written_again() {
    let server = Responder::start(|request: &Request| match request.method.as_str() {
        "HEAD" => Reply::new(404, "")
            .with("x-amz-delete-marker", "true")
            .with("x-amz-version-id", "3HL4kqtJlcpXroDTDmJ"),
        "PUT" => Reply::new(200, "").with("etag", "\"1\""),
        _ => Reply::error(403, "AccessDenied", "no"),
    })
    .await;
    let house = House::open(On::Sqlite).await;
    connectors::create(&house.engine, &house.admin, connector(&server.endpoint))
        .await
        .unwrap();
    house.destination(BUCKET, json!({"unconditional_writes": true})).await;
    house.send(&events()[..1]).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    let methods: Vec<String> = server.requests().into_iter().map(|request| request.method).collect();
    let looked = methods.iter().position(|method| method == "HEAD");
    let put = methods.iter().position(|method| method == "PUT");
    assert!(looked.is_some() && looked < put, "{methods:?}");
}

/// Rule 7: a store that ignores the condition is used only by choice, once that is known.
#[tokio::test]
async fn a_store_that_ignores_the_condition_needs_the_choice_as_well() {
    let (house, store, proxy) = scene().await;
    {
        let mut state = proxy.state.lock().unwrap();
        (state.lacks_condition, state.ignores_condition) = (false, true);
    }
    assert_eq!(check(&house).await.conditional_writes, Some(false));
    house.send(&events()[..1]).await;
    house.toggle(Status::Active).await;
    assert_eq!(failure(&house).await.code.as_str(), "conditional_writes");
    assert!(store.objects(BUCKET).is_empty());
    choose(&house, true).await;
    house.streamed().await;
    // Without the choice again, but at another store.
    choose(&house, false).await;
    connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector(&store.endpoint),
        &Precondition::None,
    )
    .await
    .unwrap();
    house.send(&events()[1..2]).await;
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}
