//! Rules 2, 3, 8, 10 and 14 across a move to another database: nothing is lost, streamed twice or
//! numbered twice, wherever the move is interrupted, and at most one of the two databases can be
//! opened.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use auditstream_engine::access::{self, UsedBy};
use auditstream_engine::database::{DatabaseUrl, Limits, PostgresUrl};
use auditstream_engine::relocation::{Moved, Relocation, relocate, undo};
use auditstream_engine::trail::{EventRef, find, search};
use auditstream_engine::{Engine, Precondition, Result, alerts, connectors, destinations};
use auditstream_model::{EventFilter, Outcome, Role, Status, WebhookInput};
use auditstream_testkit::postgres;
use auditstream_testkit::s3::{BUCKET, Store};
use auditstream_testkit::wait;
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::child::{Process, say};
use crate::support::{House, On, config, destination, events, ingester};

/// The points at which a move or its way back is killed.
pub(crate) const POINTS: &[&str] = &[
    "migrate.freeze.committing",
    "migrate.frozen",
    "migrate.begin.committing",
    "migrate.begun",
    "migrate.step.committing",
    "migrate.step.committed",
    "migrate.copied",
    "migrate.verified",
    "migrate.arrive.committing",
    "migrate.arrived",
    "migrate.left",
    "migrate.given_up",
    "migrate.thaw.committing",
];
const TARGET: &str = "AUDITSTREAM_TEST_TARGET";
const UNDO: &str = "AUDITSTREAM_TEST_UNDO";
const PATIENCE: Duration = Duration::from_secs(60);

const PASSWORD: &str = "correct horse battery staple";
const EMAIL: &str = "bob@example.com";
const HERE: &str = "192.0.2.1";
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let known = events();
    let of = |number: usize| {
        let mut event = known[number % known.len()].clone();
        event["auditEventId"] = format!("move {number}").into();
        event
    };
    numbers.map(of).collect()
}

fn new_postgres() -> (DatabaseUrl, String) {
    let url = postgres::database();
    (DatabaseUrl::Postgres(PostgresUrl::parse(&url).unwrap()), url)
}

fn relocation(house: &House, target: DatabaseUrl) -> Relocation {
    Relocation {
        source: house.config.database.clone(),
        target,
        data_dir: house.config.data_dir.clone(),
        limits: Limits::default(),
    }
}

async fn moved(relocation: &Relocation) -> Result<Moved> {
    relocate(relocation, &mut |_| {}).await
}

/// Opens an engine on a database, or returns why not.
async fn opened(house: &House, database: &DatabaseUrl) -> Result<Engine> {
    Engine::open(auditstream_engine::Config {
        database: database.clone(),
        ..house.config.clone()
    })
    .await
}

async fn refusal(house: &House, database: &DatabaseUrl) -> String {
    opened(house, database).await.unwrap_err().to_string()
}

async fn number(house: &House, query: &'static str) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
}

/// Everything by which a person or a program would notice a loss.
struct Belongings {
    cookie: String,
    token: String,
    highest_destination: i64,
}

/// Fills an installation: events, a gap, users, a session, a webhook, a deleted destination, and a
/// destination with delivered batches and an open one.
async fn furnished(house: &House, store: &Store) -> Belongings {
    let (engine, admin) = (&house.engine, &house.admin);
    house.connect(store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.send(&numbered(0..30)).await;
    house.streamed().await;
    access::create_user(engine, admin, EMAIL, Role::Admin, PASSWORD)
        .await
        .unwrap();
    let cookie = access::sign_in(engine, EMAIL, PASSWORD, None, HERE).await.unwrap();
    let input = serde_json::from_value(json!({"name": "SIEM", "scopes": ["read"]})).unwrap();
    let token = access::create_token(engine, admin, &input).await.unwrap().token;
    let webhook = WebhookInput {
        url: "http://127.0.0.1:9/x".to_owned(),
        secret: Some(WEBHOOK_SECRET.to_owned()),
        lag_limit_seconds: None,
    };
    alerts::put(engine, admin, webhook, &Precondition::None).await.unwrap();
    house.another_inactive("gone", "aws").await;
    let highest_destination = number(house, "SELECT max(id) FROM streaming_destination").await;
    delete(house, "gone").await;
    edit_bucket(house, "absent-bucket").await;
    house.send(&numbered(30..60)).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    assert_eq!(
        number(house, "SELECT count(*) FROM streaming_batch WHERE status = 'FAILED'").await,
        1
    );
    Belongings {
        cookie,
        token,
        highest_destination,
    }
}

async fn delete(house: &House, destination: &str) {
    let (engine, admin) = (&house.engine, &house.admin);
    destinations::delete(engine, admin, destination, &Precondition::None)
        .await
        .unwrap();
}

async fn edit_bucket(house: &House, bucket: &str) {
    let mut input = destination(bucket, json!({}));
    input.status = Some(Status::Active);
    destinations::replace(&house.engine, &house.admin, "siem", input, &Precondition::None)
        .await
        .unwrap();
}

/// Declares a gap, as a restore does, while nothing uses the database.
async fn declare_gap(house: &House) {
    house
        .sql(
            "INSERT INTO sequence_gap (account_id, first_sequence, last_sequence, declared, reason) \
              SELECT id, last_sequence + 1, last_sequence + 50, 1, 'a test' FROM account",
        )
        .await;
    house.sql("UPDATE account SET last_sequence = last_sequence + 50").await;
}

/// Checks that the installation continues as if nothing had happened. `next` are new events.
/// Returns the highest id of a destination.
async fn check(house: &House, store: &Store, belongings: &Belongings, next: std::ops::Range<usize>) -> i64 {
    let (engine, admin) = (&house.engine, &house.admin);
    let repeated = house.send(&numbered(0..next.start)).await;
    assert_eq!((repeated.accepted, repeated.duplicates as usize), (0, next.start));
    let last = number(house, "SELECT last_sequence FROM account").await;
    let sent = house.send(&numbered(next.clone())).await;
    assert!(sent.first_sequence.is_some_and(|first| first < last + 10), "no gap");
    edit_bucket(house, BUCKET).await;
    house.streamed().await;
    house.streamed().await;
    let sequences = store.sequences(BUCKET);
    let mut connection = house.connection().await;
    let stored: Vec<i64> = sqlx::query_scalar("SELECT sequence FROM audit_event ORDER BY sequence")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(sequences, stored, "each event once and in order");
    assert!(
        access::session(engine, &belongings.cookie, UsedBy::Person)
            .await
            .unwrap()
            .is_some()
    );
    assert!(access::token(engine, &belongings.token).await.unwrap().is_some());
    access::sign_in(engine, EMAIL, PASSWORD, None, HERE).await.unwrap();
    let test = connectors::test(engine, admin, "aws").await.unwrap();
    assert_eq!(test.status, Outcome::Success, "the secret key is readable: {test:?}");
    assert!(alerts::get(engine, admin).await.is_ok(), "and that of the webhook");
    let event = find(engine, admin, &EventRef::Id("move 7".to_owned())).await.unwrap();
    assert!(event.json.contains("move 7"));
    let filter = EventFilter {
        action: Some("RESTORE".to_owned()),
        ..EventFilter::default()
    };
    assert!(search(engine, admin, &filter).await.unwrap().events.is_empty());
    let name = format!("new{}", next.start);
    house.another_inactive(&name, "aws").await;
    let highest = number(house, "SELECT max(id) FROM streaming_destination").await;
    assert!(highest > belongings.highest_destination, "ids are not used again");
    delete(house, &name).await;
    highest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_moves_to_postgresql_and_back_without_loss() {
    let store = Store::start().await;
    let mut house = House::open(On::Sqlite).await;
    let mut belongings = furnished(&house, &store).await;
    house.stop().await;
    declare_gap(&house).await;
    let (target, url) = new_postgres();
    let first = moved(&relocation(&house, target)).await.unwrap();
    assert!(first.rows > 60 && first.tables > 10, "{first:?}");
    every_table_was_copied(&house, &url).await;
    let old = house.config.database.clone();
    assert!(refusal(&house, &old).await.contains("was moved to postgres://"));
    house.move_to(&url);
    house.on = On::Postgres;
    let mut house = house.reopen().await;
    house.ingester = ingester(&house.engine, &house.admin).await;
    belongings.highest_destination = check(&house, &store, &belongings, 60..80).await;
    reaches_its_months(&house).await;
    let moves = number(&house, "SELECT count(*) FROM account").await;
    let filter = EventFilter {
        action: Some("MOVE".to_owned()),
        ..EventFilter::default()
    };
    let recorded = search(&house.engine, &house.admin, &filter).await.unwrap().events;
    assert_eq!(i64::try_from(recorded.len()).unwrap(), moves);

    let file = house.folder.path().join("again.db");
    let back = relocation(&house, DatabaseUrl::Sqlite(file.clone()));
    let refused = moved(&back).await.unwrap_err().to_string();
    assert!(refused.contains("stop them first"), "{refused}");
    edit_bucket(&house, "absent-bucket").await;
    house.send(&numbered(80..90)).await;
    house.settled(|item| item.streaming_details.failure.is_some()).await;
    house.stop().await;
    // On a busy machine a server may end before it has signed off; it counts as running for 5 s.
    wait::until_ok("the server counts as stopped", async || moved(&back).await).await;
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    house.move_to_file(&file);
    let mut house = house.reopen().await;
    house.ingester = ingester(&house.engine, &house.admin).await;
    check(&house, &store, &belongings, 90..100).await;
    house.stop().await;
}

/// Waits until the trail has left partition 0.
async fn reaches_its_months(house: &House) {
    let left = "SELECT (SELECT count(*) FROM audit_segment_0) + (SELECT count(*) FROM audit_event_0)";
    wait::until("the trail leaves partition 0", async || number(house, left).await == 0).await;
}

/// Compares the tables that were copied with those of both catalogs.
async fn every_table_was_copied(house: &House, target: &str) {
    let names = async |url: &str, query: &'static str| -> BTreeSet<String> {
        let mut connection = AnyConnection::connect(url).await.unwrap();
        let names: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap();
        names.into_iter().collect()
    };
    let mut copied = names(target, "SELECT name FROM relocation_table").await;
    copied.extend(["_sqlx_migrations", "relocation", "relocation_table"].map(str::to_owned));
    let sqlite = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    assert_eq!(names(house.url(), sqlite).await, copied);
    // SQLite has neither partitions nor the ranges of their months.
    let postgres = "SELECT CAST(relname AS TEXT) FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace) \
                    AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'trail_range'";
    assert_eq!(names(target, postgres).await, copied);
}

/// A small installation in a file, closed, from which each test starts with a copy. One event has
/// 200 KB.
async fn small() -> House {
    let mut house = House::open(On::Sqlite).await;
    house.send(&numbered(0..20)).await;
    let mut large = events().remove(0);
    large["auditEventId"] = "large".into();
    let text: String = (0..100_000).map(|_| format!("{:02x}", rand::random::<u8>())).collect();
    large["auditEventMetadata"]["text"] = text.into();
    house.send(&[large]).await;
    house.stop().await;
    house
}

fn copy_of(house: &House, folder: &Path) -> Relocation {
    for name in ["auditstream.db", "auditstream.marks"] {
        std::fs::copy(house.folder.path().join(name), folder.join(name)).unwrap();
    }
    Relocation {
        source: DatabaseUrl::Sqlite(folder.join("auditstream.db")),
        target: new_postgres().0,
        data_dir: Some(folder.to_owned()),
        limits: Limits::default(),
    }
}

/// Checks that only one of the databases can be opened, and that it has all events without a gap.
async fn only(house: &House, relocation: &Relocation, is_target: bool) {
    let (used, unused) = match is_target {
        true => (&relocation.target, &relocation.source),
        false => (&relocation.source, &relocation.target),
    };
    let refused = opened(house, unused).await.map(drop);
    assert!(refused.is_err(), "both databases can be opened");
    let engine = Engine::open(auditstream_engine::Config {
        data_dir: relocation.data_dir.clone(),
        database: used.clone(),
        ..house.config.clone()
    })
    .await
    .unwrap();
    let page = search(&engine, &house.admin, &EventFilter::default()).await.unwrap();
    let ids = |event: &auditstream_model::AuditEvent| event.json.contains("\"move ");
    assert_eq!(page.events.iter().filter(|event| ids(event)).count(), 20);
    assert!(page.last_sequence < 100, "no gap");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_killed_at_any_step_continues() {
    let house = small().await;
    for point in POINTS.iter().filter(|point| !is_of_undo(point)) {
        let folder = tempfile::tempdir().unwrap();
        let relocation = copy_of(&house, folder.path());
        kill_at(&house, &relocation, point, false);
        let moved = moved(&relocation).await;
        match *point {
            "migrate.left" => assert!(moved.unwrap_err().to_string().contains("already")),
            _ => assert!(moved.unwrap().rows > 20, "{point}"),
        }
        only(&house, &relocation, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_back_killed_at_any_step_continues() {
    let house = small().await;
    for point in POINTS.iter().filter(|point| is_of_undo(point)) {
        let folder = tempfile::tempdir().unwrap();
        let relocation = copy_of(&house, folder.path());
        moved(&relocation).await.unwrap();
        kill_at(&house, &relocation, point, true);
        undo(&relocation, false).await.unwrap();
        assert!(
            refusal(&house, &relocation.target).await.contains("given up"),
            "{point}"
        );
        only(&house, &relocation, false).await;
    }
}

fn is_of_undo(point: &str) -> bool {
    matches!(point, "migrate.given_up" | "migrate.thaw.committing")
}

/// Kills a process that moves, or returns, when it reaches a point.
fn kill_at(house: &House, relocation: &Relocation, point: &str, is_undo: bool) {
    let (DatabaseUrl::Sqlite(source), DatabaseUrl::Postgres(_)) = (&relocation.source, &relocation.target) else {
        panic!("the process moves from a file");
    };
    let target = postgres::address(relocation.target.to_string().rsplit('/').next().unwrap());
    let mut orders = vec![
        ("AUDITSTREAM_FAILPOINT", point.to_owned()),
        (TARGET, target),
        ("AUDITSTREAM_TEST_SOURCE", source.display().to_string()),
    ];
    orders.extend(is_undo.then(|| (UNDO, "1".to_owned())));
    let mut process = Process::start("relocation::the_process", house, &orders);
    assert!(
        process.says(&format!("failpoint {point}"), PATIENCE),
        "{point} was not reached"
    );
    process.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the tests above start and kill"]
async fn the_process() {
    let (Ok(source), Ok(target)) = (std::env::var("AUDITSTREAM_TEST_SOURCE"), std::env::var(TARGET)) else {
        return;
    };
    let source = std::path::PathBuf::from(source);
    let relocation = Relocation {
        data_dir: source.parent().map(Path::to_owned),
        source: DatabaseUrl::Sqlite(source),
        target: DatabaseUrl::Postgres(PostgresUrl::parse(&target).unwrap()),
        limits: config(DatabaseUrl::Sqlite("none".into())).limits,
    };
    match std::env::var(UNDO) {
        Ok(_) => undo(&relocation, false).await.unwrap(),
        Err(_) => drop(moved(&relocation).await.unwrap()),
    }
    say("finished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_lost_its_connection_or_its_disk_continues() {
    let house = small().await;
    let folder = tempfile::tempdir().unwrap();
    let (proxy, through, _) = postgres::behind_proxy().await;
    let mut relocation = copy_of(&house, folder.path());
    relocation.target = DatabaseUrl::Postgres(PostgresUrl::parse(&through).unwrap());
    let mut reports = 0;
    let mut cut_once = |_: auditstream_engine::relocation::Progress<'_>| {
        reports += 1;
        if reports == 1 {
            proxy.cut();
        }
    };
    let cut = relocate(&relocation, &mut cut_once).await;
    let cut = cut.unwrap_err().to_string();
    assert!(cut.contains("run the same command again"), "{cut}");
    moved(&relocation).await.unwrap();
    only(&house, &relocation, true).await;

    let folder = tempfile::tempdir().unwrap();
    let mut relocation = copy_of(&house, folder.path());
    relocation.target = DatabaseUrl::Sqlite(folder.path().join("new.db"));
    let empty = {
        let file = folder.path().join("empty.db");
        opened(&house, &DatabaseUrl::Sqlite(file.clone()))
            .await
            .unwrap()
            .close()
            .await;
        std::fs::metadata(file).unwrap().len() / 4096
    };
    relocation.limits.sqlite_pages = Some(u32::try_from(empty).unwrap() + 4);
    let full = moved(&relocation).await.unwrap_err().to_string();
    assert!(full.contains("full"), "{full}");
    assert!(refusal(&house, &relocation.source).await.contains("is being moved to"));
    relocation.limits.sqlite_pages = None;
    moved(&relocation).await.unwrap();
    only(&house, &relocation, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_keeps_everyone_out_until_it_ends_or_is_given_up() {
    let mut house = small().await;
    let before = Engine::open(house.config.clone()).await.unwrap();
    let occupied = House::open(On::Postgres).await;
    let refused = moved(&relocation(&house, occupied.config.database.clone()))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("is not empty"), "{refused}");
    let (target, _) = new_postgres();
    let through = relocation(&house, target.clone());
    let first = moved(&through).await.unwrap();
    let late = access::create_user(&before, &house.admin, EMAIL, Role::Admin, PASSWORD).await;
    let late = late.unwrap_err().to_string();
    assert!(
        late.contains("has been moved"),
        "a process that had opened it before: {late}"
    );
    before.close().await;
    let again = moved(&through).await.unwrap_err().to_string();
    assert!(again.contains("already"), "{again}");
    let mut elsewhere = through.clone();
    elsewhere.target = new_postgres().0;
    let refused = undo(&elsewhere, false).await.unwrap_err().to_string();
    assert!(refused.contains("was moved to"), "{refused}");
    undo(&through, false).await.unwrap();
    assert!(refusal(&house, &target).await.contains("given up"));
    house = house.reopen().await;
    let sent = house.send(&numbered(20..25)).await;
    assert!(sent.first_sequence.unwrap() < 100, "no gap");
    house.stop().await;
    // The next attempt needs an empty database.
    let refused = moved(&through).await.unwrap_err().to_string();
    assert!(refused.contains("is not empty"), "{refused}");
    let second = moved(&elsewhere).await.unwrap();
    assert!(second.rows > first.rows);
    opened(&house, &elsewhere.target).await.unwrap().close().await;
    let used = undo(&elsewhere, false).await.unwrap_err().to_string();
    assert!(used.contains("has been used since"), "{used}");
    undo(&elsewhere, true).await.unwrap();
    house = house.reopen().await;
    let sent = house.send(&numbered(25..30)).await;
    assert!(sent.first_sequence.unwrap() > 100_000, "after a declared gap");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_changed_is_not_switched_to() {
    let house = small().await;
    let folder = tempfile::tempdir().unwrap();
    let relocation = copy_of(&house, folder.path());
    kill_at(&house, &relocation, "migrate.copied", false);
    let url = postgres::address(relocation.target.to_string().rsplit('/').next().unwrap());
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    connection
        .execute("UPDATE account SET created = created + 1")
        .await
        .unwrap();
    connection.close().await.unwrap();
    let refused = moved(&relocation).await.unwrap_err().to_string();
    assert!(
        refused.contains("the table account") && refused.contains("nothing was switched"),
        "{refused}"
    );
    assert!(refusal(&house, &relocation.target).await.contains("unfinished move"));
    undo(&relocation, false).await.unwrap();
    only(&house, &relocation, false).await;
}
