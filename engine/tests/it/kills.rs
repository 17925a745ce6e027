//! Rules 1, 2 and 8 under load: a process that ingests and streams is killed at random moments.
//! Every event that it acknowledged is in the bucket in the end, once and in order.
//!
//! `AUDITSTREAM_KILLS` is the number of kills, `AUDITSTREAM_SEED` the seed of the moments.

use std::time::{Duration, Instant};

use auditstream_engine::{connectors, destinations};
use auditstream_model::{ListQuery, Status};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::child::{Inside, Process, patience, say};
use crate::support::{House, On, connector, events};
use auditstream_testkit::s3::{BUCKET, Store};

/// The number of the first event that the process sends. Without it the process sends nothing and
/// ends when everything is delivered.
const FIRST: &str = "AUDITSTREAM_TEST_FIRST";

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_random_loses_and_duplicates_nothing_on_sqlite() {
    killed(On::Sqlite, number("AUDITSTREAM_KILLS", 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_random_loses_and_duplicates_nothing_on_postgres() {
    killed(On::Postgres, number("AUDITSTREAM_KILLS", 20).div_ceil(5)).await;
}

async fn killed(on: On, kills: u64) {
    let seed = number("AUDITSTREAM_SEED", 20_261_124);
    let store = Store::start().await;
    let mut house = House::open(on).await;
    house.stop_streaming().await;
    connectors::create(&house.engine, &house.admin, connector(&store.endpoint))
        .await
        .unwrap();
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.stop().await;
    let began = Instant::now();
    let (house, acknowledged) = tokio::task::spawn_blocking(move || {
        let acknowledged = kill_often(&house, on, kills, seed);
        (house, acknowledged)
    })
    .await
    .unwrap();
    let sequences = store.sequences(BUCKET);
    let mut connection = house.connection().await;
    let last: i64 = sqlx::query_scalar("SELECT last_sequence FROM account")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(sequences, (1..=last).collect::<Vec<_>>(), "seed {seed}");
    let landed: Vec<String> = store
        .events(BUCKET)
        .iter()
        .filter_map(|event| Some(event["auditEventId"].as_str()?.to_owned()))
        .filter(|id| id.starts_with("load "))
        .collect();
    assert!(
        landed.len() as u64 >= acknowledged,
        "seed {seed}: {} of {acknowledged}",
        landed.len()
    );
    for (number, id) in landed.iter().enumerate() {
        assert_eq!(*id, format!("load {number}"), "seed {seed}");
    }
    say(&format!(
        "{kills} kills at random moments on {on:?}, seed {seed}, {acknowledged} events, {:?}",
        began.elapsed()
    ));
}

/// Returns the number of acknowledged events.
fn kill_often(house: &House, on: On, kills: u64, seed: u64) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut pick = |most: u64| random.random_range(0..most);
    let mut acknowledged = 0;
    let take = |line: String, acknowledged: &mut u64| {
        if let Some(count) = line.strip_prefix("acknowledged ") {
            *acknowledged = count.parse().unwrap();
            return true;
        }
        false
    };
    for kill in 0..kills {
        let mut process = Process::start("kills::the_process", house, &[(FIRST, acknowledged.to_string())]);
        let mut answers = pick(40);
        // The first kills may come before the first response.
        while answers > 0 {
            let line = process.line(patience(on));
            let line = line.unwrap_or_else(|| panic!("seed {seed}, kill {kill}: the process went away by itself"));
            answers -= u64::from(take(line, &mut acknowledged));
        }
        std::thread::sleep(Duration::from_micros(pick(60_000)));
        process.kill();
        while let Some(line) = process.line(patience(on)) {
            take(line, &mut acknowledged);
        }
    }
    let mut last = Process::start("kills::the_process", house, &[]);
    assert!(last.says("finished", patience(on)), "seed {seed}: it did not continue");
    assert!(last.ends_well(patience(on)));
    acknowledged
}

fn loaded(number: u64, known: &[serde_json::Value]) -> serde_json::Value {
    let index = usize::try_from(number).unwrap() % known.len();
    let mut event = known[index].clone();
    event["auditEventId"] = format!("load {number}").into();
    event
}

/// Sends and streams until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the tests above start and kill"]
async fn the_process() {
    let Some(inside) = Inside::open(Duration::from_millis(500)).await else {
        return;
    };
    let background = inside.engine.start();
    let (engine, admin) = (&inside.engine, &inside.admin);
    if let Ok(first) = std::env::var(FIRST) {
        let mut next: u64 = first.parse().unwrap();
        let mut random = StdRng::seed_from_u64(next);
        let known = events();
        loop {
            let count = random.random_range(1..30);
            let portion: Vec<_> = (next..next + count).map(|number| loaded(number, &known)).collect();
            inside.send(&portion).await;
            next += count;
            say(&format!("acknowledged {next}"));
            destinations::stream_now(engine, admin, "siem").await.unwrap();
        }
    }
    loop {
        let mut list = destinations::aggregate(engine, admin, &ListQuery::default())
            .await
            .unwrap();
        let item = list.items.remove(0).streaming_details;
        if item.behind == Some(0) && item.failure.is_none() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    background.stop().await;
    inside.engine.close().await;
    say("finished");
}
