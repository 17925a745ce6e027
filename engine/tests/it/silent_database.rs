//! A network to PostgreSQL that goes silent without closing its connections (rule 16): every call
//! ends within its deadline, its connection is closed, and work resumes on others.

use std::time::Duration;

use auditstream_engine::access;
use auditstream_engine::database::Limits;
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_model::{ApiTokenInput, Code, IngestOutcome, ListQuery, Problem, Scope, Status};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::time::{sleep, timeout};

use crate::support::{House, dense, events};
use auditstream_testkit::postgres;
use auditstream_testkit::s3::{BUCKET, Store};
use auditstream_testkit::tcp_proxy::{Fault, TcpProxy};

/// Longer than everything in these tests takes, however slow the machine is.
const LONG: Duration = Duration::from_secs(60);

const LIMITS: Limits = Limits {
    busy: Duration::from_secs(6),
    deadline: Duration::from_secs(2),
    postgres_connections: 4,
    sqlite_pages: None,
    wal_bytes: 64 << 20,
};

async fn house() -> (House, TcpProxy) {
    let (proxy, through, url) = postgres::behind_proxy().await;
    (House::open_through(&through, url, LIMITS).await, proxy)
}

async fn streaming(house: &House) -> Store {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
    store
}

/// The time of the events that are sent, by which the statement that inserts them is recognised:
/// their payloads are compressed.
const TIME: &str = "1700000012345";

async fn send(house: &House, name: &str) -> Result<IngestOutcome, Problem> {
    let mut event = events().remove(0);
    event["auditEventTime"] = TIME.into();
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        event.clone()
    };
    let body: Vec<Value> = (0..3).map(one).collect();
    let body = serde_json::to_vec(&body).unwrap().into();
    let sent = ingest(&house.engine, &house.ingester, BodyFormat::Json, body);
    let sent = timeout(LONG, sent).await.expect("the request hangs");
    sent.map_err(|error| error.problem())
}

/// Waits until the server is not ready, and returns the reason.
async fn unready(house: &House) -> String {
    let wait = async {
        loop {
            if let Err(error) = house.engine.ready().await {
                return error.problem().detail;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, wait).await.expect("the server stays ready")
}

async fn ready(house: &House) {
    let wait = async {
        while house.engine.ready().await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, wait).await.expect("the server never becomes ready");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_meets_silence_is_refused_and_the_next_one_works() {
    let (house, proxy) = house().await;
    let store = streaming(&house).await;
    proxy.trap(&[TIME.as_bytes()], Fault::Silence);
    let (refused, reason) = tokio::join!(send(&house, "silent"), async {
        proxy.trapped(1).await;
        unready(&house).await
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused:?}");
    assert!(reason.contains("confirmed a commit"), "{reason}");
    assert_eq!(send(&house, "silent").await.unwrap().accepted, 3);
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    ready(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_in_doubt_and_its_retry_is_a_duplicate() {
    let (house, proxy) = house().await;
    let store = streaming(&house).await;
    proxy.trap(&[TIME.as_bytes(), b"COMMIT"], Fault::LostAnswer);
    let refused = send(&house, "lost").await.unwrap_err();
    assert_eq!(refused.code, Code::Unavailable, "{refused:?}");
    assert!(refused.detail.contains("Send them again"), "{refused:?}");
    proxy.trapped(1).await;
    let again = send(&house, "lost").await.unwrap();
    assert_eq!((again.accepted, again.duplicates), (0, 3));
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_commit_is_in_doubt_says_so() {
    let (house, proxy) = house().await;
    proxy.trap(&[b"token in doubt", b"COMMIT"], Fault::LostAnswer);
    let input = ApiTokenInput {
        name: "token in doubt".into(),
        scopes: vec![Scope::Read],
        expires_in_days: None,
    };
    let made = timeout(LONG, access::create_token(&house.engine, &house.admin, &input)).await;
    let problem = made.expect("the change hangs").unwrap_err().problem();
    assert_eq!(problem.code, Code::Unavailable, "{problem:?}");
    assert!(problem.detail.contains("Look whether it was made"), "{problem:?}");
    let tokens = access::tokens(&house.engine, &house.admin).await.unwrap();
    assert!(tokens.iter().any(|token| token.name == "token in doubt"));
}

async fn heartbeat(house: &House) -> i64 {
    let mut connection = house.connection().await;
    let heartbeat = sqlx::query_scalar("SELECT max(heartbeat) FROM replica");
    let heartbeat = heartbeat.fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    heartbeat
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_go_silent_are_replaced_and_none_is_lost_to_the_pool() {
    let (house, proxy) = house().await;
    let store = streaming(&house).await;
    for round in 0..3 {
        let reads = (0..4).map(|_| access::tokens(&house.engine, &house.admin));
        futures::future::join_all(reads).await;
        proxy.silence();
        // Clients that do not wait for the answer.
        let query = ListQuery::default();
        let reads = (0..8).map(|_| auditstream_engine::destinations::aggregate(&house.engine, &house.admin, &query));
        drop(timeout(Duration::from_millis(50), futures::future::join_all(reads)).await);
        let deadline = tokio::time::Instant::now() + LONG;
        while let Err(problem) = send(&house, &format!("round-{round}")).await {
            assert_eq!(problem.code, Code::Unavailable, "{problem:?}");
            assert!(tokio::time::Instant::now() < deadline, "no connection is replaced");
        }
    }
    let before = heartbeat(&house).await;
    while heartbeat(&house).await == before {
        sleep(Duration::from_millis(50)).await;
    }
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
    ready(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_while_idle_are_replaced_without_an_error() {
    let (house, proxy) = house().await;
    let store = streaming(&house).await;
    for round in 0..3 {
        let reads = (0..4).map(|_| access::tokens(&house.engine, &house.admin));
        futures::future::join_all(reads).await;
        proxy.cut();
        assert_eq!(send(&house, &format!("round-{round}")).await.unwrap().accepted, 3);
        proxy.cut();
        access::tokens(&house.engine, &house.admin).await.unwrap();
    }
    house.streamed().await;
    assert!(dense(&store.sequences(BUCKET)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_its_database_says_so_in_time_and_recovers() {
    let (house, proxy) = house().await;
    proxy.silence_new(true);
    proxy.silence();
    let checked = timeout(Duration::from_secs(20), house.engine.ready()).await;
    assert!(checked.expect("the check hangs").is_err());
    proxy.silence_new(false);
    ready(&house).await;
    assert_eq!(send(&house, "after").await.unwrap().accepted, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_that_is_stuck_makes_the_server_unready() {
    let (proxy, through, url) = postgres::behind_proxy().await;
    proxy.trap_each(&[b"ORDER BY random()"], Fault::Silence);
    let house = House::open_through(&through, url, LIMITS).await;
    let reason = unready(&house).await;
    assert!(reason.contains("scheduler"), "{reason}");
    proxy.disarm();
    ready(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_costs_one_round_trip() {
    let (mut house, proxy) = house().await;
    house.stop_streaming().await;
    let read = async || access::tokens(&house.engine, &house.admin).await.unwrap();
    for _ in 0..3 {
        read().await;
    }
    let before = proxy.sent();
    for _ in 0..10 {
        read().await;
    }
    assert_eq!(proxy.sent() - before, 10);
}
