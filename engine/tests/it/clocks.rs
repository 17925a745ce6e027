//! Rule 13: nothing is removed by a clock in doubt, and a wrong time leaves no lasting trace.

use std::time::Duration;

use auditstream_engine::{Clock, Config, Engine, Retention, clock, metrics, retention};
use auditstream_model::{ClockConfirmation, ClockState, Code, Status};
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::support::{House, On, events};
use crate::{on, on_both};
use auditstream_testkit::s3::{BUCKET, Store};

on_both![
    a_clock_that_jumps_ahead_removes_nothing_until_an_admin_confirms_it,
    a_clock_that_jumps_back_removes_nothing_and_is_trusted_again_when_corrected,
    a_clock_is_not_trusted_before_it_has_run_evenly,
    a_jump_ahead_leaves_neither_receipts_nor_delays_in_the_future,
];
on!(
    postgres_servers,
    Postgres,
    one_of_two_servers_whose_clock_is_years_off_removes_nothing_and_records_the_right_time,
);

const DAY: i64 = 86_400_000;
const YEAR: i64 = 365 * DAY;
/// A minute of slack for the test itself.
const MINUTE: i64 = 60_000;

fn quick(retention: &mut Retention) {
    *retention = Retention {
        keep: Duration::from_secs(730 * 86_400),
        every: Duration::from_millis(20),
        settle: Duration::ZERO,
        ..Retention::default()
    };
}

fn many(name: &str, count: usize) -> Vec<Value> {
    let mut event = events().remove(0);
    let one = |number| {
        event["auditEventId"] = format!("{name}-{number}").into();
        event.clone()
    };
    (0..count).map(one).collect()
}

async fn number(house: &House, sql: &'static str) -> i64 {
    let mut connection = house.connection().await;
    let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    number
}

const FIRST: &str = "SELECT first_sequence FROM account";
const NEWEST: &str = "SELECT max(last_received) FROM audit_segment";
const TRUSTED: &str = "SELECT trusted FROM clock";

/// Waits until a number is as expected.
async fn reaches(house: &House, sql: &'static str, expected: impl Fn(i64) -> bool) -> i64 {
    let mut seen = 0;
    for _ in 0..600 {
        seen = number(house, sql).await;
        if expected(seen) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{sql}: {seen}");
}

/// Waits until the server has looked at its clock twice.
async fn looked(engine: &Engine, is_fault: bool) {
    let line = format!("auditstream_clock_fault {}", u8::from(is_fault));
    for _ in 0..600 {
        if metrics::render(engine).await.contains(&line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {line}");
}

async fn state(house: &House) -> ClockState {
    clock::status(&house.engine, &house.admin).await.unwrap().state
}

/// A server with 50 events, which has run for a while.
async fn running(mut house: House) -> House {
    quick(&mut house.config.retention);
    // Segments are removed as a whole.
    for some in many("first", 50).chunks(1) {
        house.send(some).await;
    }
    let house = house.reopen().await;
    reaches(&house, TRUSTED, |trusted| trusted > 0).await;
    house
}

/// On PostgreSQL the database's clock contradicts as well; on SQLite an admin decides.
async fn a_clock_that_jumps_ahead_removes_nothing_until_an_admin_confirms_it(house: House) {
    let house = running(house).await;
    house.config.clock.shift(3 * YEAR);
    looked(&house.engine, true).await;
    let house = house.reopen().await;
    looked(&house.engine, true).await;
    house.send(&many("while it is wrong", 5)).await;
    looked(&house.engine, true).await;
    assert_eq!(number(&house, FIRST).await, 1, "nothing was removed");
    let time = clock::status(&house.engine, &house.admin).await.unwrap().time;
    let wrong = ClockConfirmation { time: time - 3 * YEAR };
    let confirm = async |input| {
        clock::confirm(&house.engine, &house.admin, input)
            .await
            .map_err(|error| error.problem())
    };
    if house.on == On::Postgres {
        assert_eq!(state(&house).await, ClockState::DiffersFromDatabase);
        let refused = confirm(ClockConfirmation { time }).await.unwrap_err();
        assert_eq!(refused.code, Code::Conflict);
        return;
    }
    assert_eq!(state(&house).await, ClockState::Ahead);
    assert_eq!(confirm(wrong).await.unwrap_err().code, Code::Conflict);
    let confirmed = confirm(ClockConfirmation { time }).await.unwrap();
    assert_eq!(confirmed.state, ClockState::Trusted);
    looked(&house.engine, false).await;
    // The time is confirmed now, but not that most of the trail goes.
    let unconfirmed = async || retention::get(&house.engine, &house.admin).await.unwrap().unconfirmed;
    for _ in 0..600 {
        if number(&house, FIRST).await > 1 || unconfirmed().await.is_some() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("retention does not continue");
}

async fn a_clock_that_jumps_back_removes_nothing_and_is_trusted_again_when_corrected(house: House) {
    let house = running(house).await;
    let trusted = number(&house, TRUSTED).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1 WHERE last_sequence <= 5")
        .await;
    reaches(&house, FIRST, |first| first == 6).await;
    house.config.clock.shift(-40 * YEAR);
    looked(&house.engine, true).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1 WHERE last_sequence <= 8")
        .await;
    house.send(&many("behind", 3)).await;
    let newest = number(
        &house,
        "SELECT last_received FROM audit_segment ORDER BY last_sequence DESC LIMIT 1",
    )
    .await;
    assert!(newest >= trusted, "received at a time that had come: {newest}");
    assert_eq!(number(&house, FIRST).await, 6);
    house.config.clock.shift(0);
    looked(&house.engine, false).await;
    reaches(&house, FIRST, |first| first == 9).await;
}

async fn a_clock_is_not_trusted_before_it_has_run_evenly(mut house: House) {
    quick(&mut house.config.retention);
    house.config.retention.settle = Duration::from_secs(3_600);
    house.config.retention.confirm_above = 100;
    house.send(&many("first", 5)).await;
    house
        .sql("UPDATE audit_segment SET received = 1, last_received = 1")
        .await;
    let house = house.reopen().await;
    looked(&house.engine, false).await;
    assert_eq!(state(&house).await, ClockState::Settling);
    assert_eq!((number(&house, FIRST).await, number(&house, TRUSTED).await), (1, 0));
}

/// The traces of the wrong clock are corrected as soon as the right one runs.
async fn a_jump_ahead_leaves_neither_receipts_nor_delays_in_the_future(house: House) {
    let house = running(house).await;
    let mut house = house;
    house.stop_streaming().await;
    // On PostgreSQL the engine would know better at its next look, which its tasks do not make now.
    house.config.clock.shift(40 * YEAR);
    house.send(&many("ahead", 2_500)).await;
    house
        .sql(
            "INSERT INTO sequence_gap (account_id, first_sequence, last_sequence, declared, reason) \
             SELECT id, last_sequence + 1, last_sequence + 1000000, 0, 'a test' FROM account",
        )
        .await;
    house
        .sql("UPDATE account SET last_sequence = last_sequence + 1000000")
        .await;
    house.send(&many("ahead, after a gap", 5)).await;
    let right = number(&house, TRUSTED).await;
    assert!(number(&house, NEWEST).await > right + 39 * YEAR);
    house.config.clock.shift(0);
    house.send(&many("right", 3)).await;
    let last = number(
        &house,
        "SELECT last_received FROM audit_segment ORDER BY last_sequence DESC LIMIT 1",
    )
    .await;
    assert!((last - right).abs() < 5 * MINUTE, "the next receipt is today's");
    house
        .sql("INSERT INTO retention_setting VALUES ((SELECT id FROM account), 30, NULL, 4000000000000, 1)")
        .await;
    let house = house.reopen().await;
    let newest = reaches(&house, NEWEST, |newest| newest < right + 5 * MINUTE).await;
    assert!(newest >= right - MINUTE);
    let misdated = "SELECT misdated_sequence FROM account";
    assert_eq!(reaches(&house, misdated, |sequence| sequence == 0).await, 0);
    reaches(&house, "SELECT effective FROM retention_setting", |effective| {
        effective < right + 2 * DAY
    })
    .await;
    assert_eq!(number(&house, FIRST).await, 1);
}

async fn one_of_two_servers_whose_clock_is_years_off_removes_nothing_and_records_the_right_time(house: House) {
    let house = running(house).await;
    let right = number(&house, TRUSTED).await;
    for shift in [3 * YEAR, -3 * YEAR] {
        let clock = Clock::default();
        clock.shift(shift);
        let config = Config {
            clock,
            ..house.config.clone()
        };
        let other = Engine::open(config).await.unwrap();
        let background = other.start();
        looked(&other, true).await;
        looked(&house.engine, false).await;
        let body = serde_json::to_vec(&many(&format!("other {shift}"), 3)).unwrap();
        let format = auditstream_engine::trail::BodyFormat::Json;
        auditstream_engine::trail::ingest(&other, &house.ingester, format, body.into())
            .await
            .unwrap();
        let received = number(
            &house,
            "SELECT last_received FROM audit_segment ORDER BY last_sequence DESC LIMIT 1",
        )
        .await;
        assert!((received - right).abs() < 5 * MINUTE, "{received}, not {right}");
        background.stop().await;
        other.close().await;
    }
    assert_eq!(number(&house, FIRST).await, 1);
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.streamed().await;
}
