//! Rules 2, 8 and 10 after a restore: a database that is older than the numbers given out declares
//! a gap and continues after it. No sequence belongs to two events, no object's key is used twice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use auditstream_engine::destinations;
use auditstream_engine::trail::{BodyFormat, ingest, search};
use auditstream_engine::{Actor, access, continuity};
use auditstream_model::{AccountName, Code, EventFilter, IngestOutcome, SequenceGap, Status};
use auditstream_testkit::postgres as postgresql;
use auditstream_testkit::s3::{BUCKET, Store};
use serde_json::{Value, json};

use crate::child::{Inside, Process, patience};
use crate::support::{House, On, events};
use crate::{on, on_both};

const BLOCK: i64 = 100_000;

on_both! {
    a_restored_backup_continues_after_a_declared_gap,
    a_lagging_destination_streams_across_the_gap,
    without_marks_nothing_is_numbered_until_an_operator_confirms,
    commits_that_a_running_server_lost_are_noticed,
    an_account_lost_by_a_restore_starts_after_its_numbers_when_created_again,
    an_ordinary_restart_leaves_no_gap,
    a_kill_between_reservation_and_commit_leaves_no_gap,
}

on! {
    files, Sqlite,
    a_file_put_back_by_hand_is_noticed_by_its_numbers,
    a_folder_put_back_whole_is_noticed_by_the_bucket,
    a_bucket_that_cannot_be_listed_is_no_witness,
    a_new_file_in_the_same_folder_is_a_new_installation,
    a_backup_is_a_complete_private_copy,
}

on! {
    servers, Postgres,
    a_failover_without_a_synchronous_standby_declares_a_gap,
    a_failover_to_a_synchronous_standby_leaves_no_gap,
    a_server_with_a_new_folder_joins_without_confirmation,
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let known = events();
    let of = |number: usize| {
        let mut event = known[number % known.len()].clone();
        event["auditEventId"] = format!("restore {number}").into();
        event
    };
    numbers.map(of).collect()
}

/// A backup: of SQLite by our command, of PostgreSQL by its own.
async fn back_up(house: &House) -> PathBuf {
    let file = house.folder.path().join("copy");
    match house.on {
        On::Sqlite => drop(
            continuity::backup(&house.folder.path().join("auditstream.db"), &file)
                .await
                .unwrap(),
        ),
        On::Postgres => {
            let name = house.url().rsplit('/').next().unwrap();
            let dumped = postgresql::program("pg_dump").args(["--format=custom", name]).output();
            std::fs::write(&file, dumped.unwrap().stdout).unwrap();
        }
    }
    file
}

/// Stops the server and restores the backup: of PostgreSQL into another database.
async fn restore(house: &mut House, backup: &PathBuf) {
    house.stop().await;
    match house.on {
        On::Sqlite => drop(
            continuity::restore(backup, &house.folder.path().join("auditstream.db"), true)
                .await
                .unwrap(),
        ),
        On::Postgres => {
            let url = postgresql::database();
            let restored = postgresql::program("pg_restore")
                .args(["--dbname", url.rsplit('/').next().unwrap()])
                .arg(backup)
                .output()
                .unwrap();
            assert!(
                restored.status.success(),
                "{}",
                String::from_utf8_lossy(&restored.stderr)
            );
            house.move_to(&url);
        }
    }
}

async fn streaming(house: &House, store: &Store) {
    house.connect(store).await;
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
}

async fn gaps(house: &House) -> Vec<SequenceGap> {
    let item = destinations::overview(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    item.streaming_details.sequence_gaps
}

async fn last_sequence(house: &House) -> i64 {
    let mut connection = house.connection().await;
    sqlx::query_scalar("SELECT last_sequence FROM account WHERE name = 'default'")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

async fn uid(house: &House) -> String {
    let mut connection = house.connection().await;
    sqlx::query_scalar("SELECT uid FROM streaming_destination")
        .fetch_one(&mut connection)
        .await
        .unwrap()
}

async fn try_send(house: &House, events: &[Value]) -> auditstream_engine::Result<IngestOutcome> {
    let body = serde_json::to_vec(events).unwrap();
    ingest(&house.engine, &house.ingester, BodyFormat::Json, body.into()).await
}

/// Checks that no sequence in the bucket belongs to two events, and returns the event ids.
fn one_event_per_sequence(store: &Store) -> BTreeMap<i64, String> {
    let mut ids: BTreeMap<i64, String> = BTreeMap::new();
    for event in store.events(BUCKET) {
        let sequence = event["auditEventMetadata"]["sequence"].as_i64().unwrap();
        let id = event["auditEventId"].as_str().unwrap().to_owned();
        let known = ids.entry(sequence).or_insert_with(|| id.clone());
        assert_eq!(*known, id, "the sequence {sequence} belongs to two events");
    }
    ids
}

/// Streams events, some of them after a backup, restores it, and checks everything that must hold
/// after that. `after_restore` runs before the server starts again.
async fn restored(mut house: House, store: &Store) -> House {
    streaming(&house, store).await;
    house.send(&numbered(0..20)).await;
    house.streamed().await;
    let backup = back_up(&house).await;
    house.send(&numbered(20..40)).await;
    house.streamed().await;
    let lost_until = last_sequence(&house).await;
    let before = store.objects(BUCKET);
    let uid_before = uid(&house).await;
    restore(&mut house, &backup).await;
    let house = house.reopen().await;
    let gap = gaps(&house).await.remove(0);
    assert!(
        gap.last >= lost_until + BLOCK,
        "{gap:?} covers what was given out, and a block"
    );
    // Their senders repeat what the restore lost.
    let outcome = house.send(&numbered(10..50)).await;
    assert_eq!((outcome.duplicates, outcome.accepted), (10, 30));
    assert!(outcome.first_sequence.unwrap() > gap.last);
    house.streamed().await;
    let ids = one_event_per_sequence(store);
    assert!(
        ids.range(lost_until + 1..=gap.last).next().is_none(),
        "the gap is empty"
    );
    for (key, bytes) in &before {
        assert_eq!(store.objects(BUCKET)[key], *bytes, "{key} is untouched");
    }
    let newer: Vec<String> = store
        .objects(BUCKET)
        .into_keys()
        .filter(|key| !before.contains_key(key))
        .collect();
    assert!(
        !newer.is_empty() && newer.iter().all(|key| !key.contains(&uid_before)),
        "{newer:?}"
    );
    let declared = store
        .events(BUCKET)
        .into_iter()
        .find(|event| event["auditAction"] == "RESTORE");
    let difference = &declared.expect("the declaration is streamed")["auditEventMetadata"]["difference"];
    assert_eq!(
        difference["new"]["missing_sequences"],
        json!({"first": gap.first, "last": gap.last})
    );
    house
}

async fn a_restored_backup_continues_after_a_declared_gap(house: House) {
    let store = Store::start().await;
    let house = restored(house, &store).await;
    let last = last_sequence(&house).await;
    // It is declared once.
    let house = house.restart().await;
    assert_eq!(gaps(&house).await.len(), 1);
    let outcome = house.send(&numbered(60..61)).await;
    assert_eq!(outcome.first_sequence, Some(last + 1));
    let found = search(&house.engine, &house.admin, &EventFilter::default())
        .await
        .unwrap();
    assert!(found.events.iter().any(|event| event.action == "RESTORE"));
}

async fn a_lagging_destination_streams_across_the_gap(mut house: House) {
    let store = Store::start().await;
    streaming(&house, &store).await;
    house.streamed().await;
    house.toggle(Status::Inactive).await;
    house.send(&numbered(0..20)).await;
    let backup = back_up(&house).await;
    restore(&mut house, &backup).await;
    let house = house.reopen().await;
    house.send(&numbered(20..30)).await;
    let item = destinations::overview(&house.engine, &house.admin, "siem")
        .await
        .unwrap();
    // The toggle's event, both portions, and the declaration.
    assert_eq!(item.streaming_details.behind, Some(32));
    house.toggle(Status::Active).await;
    house.streamed().await;
    let ids = one_event_per_sequence(&store);
    let landed = ids.values().filter(|id| id.starts_with("restore ")).count();
    assert_eq!(landed, 30);
    let batches = house.batches().await;
    assert!(
        batches
            .iter()
            .all(|batch| batch.last_sequence - batch.first_sequence < BLOCK),
        "no batch spans the gap: {batches:?}"
    );
}

async fn without_marks_nothing_is_numbered_until_an_operator_confirms(mut house: House) {
    let store = Store::start().await;
    streaming(&house, &store).await;
    house.send(&numbered(0..20)).await;
    house.streamed().await;
    let backup = back_up(&house).await;
    house.send(&numbered(20..40)).await;
    house.streamed().await;
    let given = last_sequence(&house).await;
    restore(&mut house, &backup).await;
    std::fs::remove_file(house.folder.path().join("auditstream.marks")).unwrap();
    let house = house.reopen().await;
    let refused = try_send(&house, &numbered(20..30)).await.unwrap_err().problem();
    assert_eq!(refused.code, Code::Unavailable);
    assert!(
        refused.detail.contains("auditstream restore --confirm"),
        "{}",
        refused.detail
    );
    assert!(house.engine.ready().await.is_err());
    let next = continuity::confirm(&house.engine, &house.admin, None).await.unwrap();
    assert!(next[0].1 > given + BLOCK, "{next:?}: the bucket knows {given}");
    assert_eq!(continuity::closed(&house.engine), None);
    house.send(&numbered(20..50)).await;
    house.streamed().await;
    one_event_per_sequence(&store);
    let again = continuity::confirm(&house.engine, &house.admin, None).await;
    assert_eq!(again.unwrap_err().problem().code, Code::Conflict);
    let house = house.restart().await;
    assert_eq!(gaps(&house).await.len(), 1);
}

async fn commits_that_a_running_server_lost_are_noticed(house: House) {
    let store = Store::start().await;
    streaming(&house, &store).await;
    house.send(&numbered(0..15)).await;
    house.send(&numbered(15..20)).await;
    house.streamed().await;
    for table in ["audit_segment", "audit_event", "event_id"] {
        let column = if table == "audit_segment" {
            "last_sequence"
        } else {
            "sequence"
        };
        let lose = format!("DELETE FROM {table} WHERE {column} > (SELECT last_sequence - 5 FROM account)");
        let mut connection = house.connection().await;
        sqlx::query(sqlx::AssertSqlSafe(lose))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    house.sql("UPDATE account SET last_sequence = last_sequence - 5").await;
    let lost_until = last_sequence(&house).await + 5;
    let mut refused = 0;
    let outcome = loop {
        match try_send(&house, &numbered(20..30)).await {
            Ok(outcome) => break outcome,
            Err(error) => assert_eq!(error.problem().code, Code::Unavailable),
        }
        refused += 1;
        assert!(refused < 1_000, "numbering does not continue");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(outcome.first_sequence.unwrap() > lost_until + BLOCK, "{outcome:?}");
}

async fn an_account_lost_by_a_restore_starts_after_its_numbers_when_created_again(mut house: House) {
    let name = AccountName::parse("tenant").unwrap();
    let backup = back_up(&house).await;
    access::create_account(&house.engine, &name).await.unwrap();
    restore(&mut house, &backup).await;
    let house = house.reopen().await;
    access::create_account(&house.engine, &name).await.unwrap();
    let actor = Actor::command_line(&house.engine, &name).await.unwrap();
    let found = search(&house.engine, &actor, &EventFilter::default()).await.unwrap();
    assert!(found.last_sequence > BLOCK, "{}", found.last_sequence);
}

async fn an_ordinary_restart_leaves_no_gap(mut house: House) {
    let mut last = house.send(&numbered(0..10)).await.last_sequence.unwrap();
    for number in 1..4 {
        house = house.restart().await;
        let outcome = house.send(&numbered(number * 10..number * 10 + 10)).await;
        assert_eq!(outcome.first_sequence, Some(last + 1));
        last = outcome.last_sequence.unwrap();
    }
}

async fn a_kill_between_reservation_and_commit_leaves_no_gap(mut house: House) {
    let last = house.send(&numbered(0..10)).await.last_sequence.unwrap();
    house.stop().await;
    // The next event needs a new block.
    let file = house.folder.path().join("auditstream.marks");
    let mut marks: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    marks["accounts"]["default"]["reserved"] = marks["accounts"]["default"]["seen"].clone();
    std::fs::write(&file, marks.to_string()).unwrap();
    let house = tokio::task::spawn_blocking(move || {
        let stop = ("AUDITSTREAM_FAILPOINT", "ingest.committing".to_owned());
        let mut process = Process::start("restores::the_process", &house, &[stop]);
        assert!(process.says("failpoint ingest.committing", patience(house.on)));
        process.kill();
        house
    })
    .await
    .unwrap();
    let house = house.reopen().await;
    let outcome = house.send(&numbered(10..20)).await;
    // The process has created a token, which is an event.
    assert_eq!(outcome.first_sequence, Some(last + 2));
}

/// Sends events and is killed on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test above starts and kills"]
async fn the_process() {
    let Some(inside) = Inside::open(Duration::from_secs(3600)).await else {
        return;
    };
    inside.send(&numbered(10..20)).await;
}

/// Copies the files of a SQLite database whose server has stopped, marks included if `marks`.
fn copy_files(house: &House, from: &str, to: &str, marks: bool) {
    for suffix in ["db", "db-wal", "db-shm", "marks"] {
        let (from, to) = (format!("{from}.{suffix}"), format!("{to}.{suffix}"));
        let (from, to) = (house.folder.path().join(from), house.folder.path().join(to));
        if suffix == "marks" && !marks {
            continue;
        }
        drop(std::fs::remove_file(&to));
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

async fn a_file_put_back_by_hand_is_noticed_by_its_numbers(house: House) {
    let house = put_back(house, false).await;
    assert_eq!(gaps(&house).await.len(), 1);
}

async fn a_folder_put_back_whole_is_noticed_by_the_bucket(house: House) {
    let house = put_back(house, true).await;
    let gaps = gaps(&house).await;
    assert_eq!(gaps.len(), 1);
    // Since then an hour has passed, in which nothing is known.
    let numbers = gaps[0].last - gaps[0].first;
    assert!(numbers > 360_000_000, "{gaps:?}");
}

async fn put_back(mut house: House, marks: bool) -> House {
    let store = Store::start().await;
    streaming(&house, &store).await;
    house.send(&numbered(0..20)).await;
    house.streamed().await;
    house.stop().await;
    copy_files(&house, "auditstream", "older", true);
    let mut house = house.reopen().await;
    house.send(&numbered(20..40)).await;
    house.streamed().await;
    let given = last_sequence(&house).await;
    house.stop().await;
    copy_files(&house, "older", "auditstream", marks);
    house
        .sql("UPDATE account SET last_received = last_received - 3600000")
        .await;
    let house = house.reopen().await;
    continuity::look_at_buckets(&house.engine, Duration::from_secs(30))
        .await
        .unwrap();
    let outcome = house.send(&numbered(40..50)).await;
    assert!(outcome.first_sequence.unwrap() > given + BLOCK, "{outcome:?}");
    house.streamed().await;
    one_event_per_sequence(&store);
    house
}

async fn a_bucket_that_cannot_be_listed_is_no_witness(house: House) {
    let store = Store::start().await;
    let proxy = auditstream_testkit::s3::Proxy::start(&store).await;
    proxy.state.lock().unwrap().denied_listing = true;
    let input = crate::support::connector(&proxy.endpoint);
    auditstream_engine::connectors::create(&house.engine, &house.admin, input)
        .await
        .unwrap();
    house.destination(BUCKET, json!({})).await;
    house.toggle(Status::Active).await;
    house.send(&numbered(0..20)).await;
    house.streamed().await;
    assert!(!store.sequences(BUCKET).is_empty());
}

async fn a_new_file_in_the_same_folder_is_a_new_installation(mut house: House) {
    house.send(&numbered(0..20)).await;
    house.stop().await;
    for suffix in ["db", "db-wal", "db-shm"] {
        drop(std::fs::remove_file(
            house.folder.path().join(format!("auditstream.{suffix}")),
        ));
    }
    let mut house = house.reopen().await;
    house.admin = Actor::command_line(&house.engine, &AccountName::default_account())
        .await
        .unwrap();
    house.ingester = crate::support::ingester(&house.engine, &house.admin).await;
    // The first number is the token's event.
    assert_eq!(house.send(&numbered(0..1)).await.first_sequence, Some(2));
}

async fn a_backup_is_a_complete_private_copy(mut house: House) {
    use std::os::unix::fs::PermissionsExt as _;
    let database = house.folder.path().join("auditstream.db");
    house.send(&numbered(0..20)).await;
    let copy = back_up(&house).await;
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let again = continuity::backup(&database, &copy).await.unwrap_err();
    assert!(again.to_string().contains("the file exists"), "{again}");
    let over = continuity::restore(&copy, &database, false).await.unwrap_err();
    assert!(over.to_string().contains("--force"), "{over}");
    house.stop().await;
    std::fs::write(house.folder.path().join("other"), "not a database at all").unwrap();
    let other = continuity::restore(&house.folder.path().join("other"), &database, true).await;
    assert!(other.is_err());
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xaa);
    std::fs::write(&copy, bytes).unwrap();
    let damaged = continuity::restore(&copy, &database, true).await;
    assert!(damaged.is_err(), "{damaged:?}");
    assert!(database.exists(), "a failed restore leaves the database in place");
}

fn edit_marks(house: &House, edit: impl FnOnce(&mut Value)) {
    let file = house.folder.path().join("auditstream.marks");
    let mut marks: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    edit(&mut marks);
    std::fs::write(&file, marks.to_string()).unwrap();
}

async fn failed_over(mut house: House, synchronous: bool) -> (House, i64) {
    let store = Store::start().await;
    streaming(&house, &store).await;
    let last = house.send(&numbered(0..20)).await.last_sequence.unwrap();
    house.stop().await;
    // As if this server had last seen the database on another timeline.
    edit_marks(&house, |marks| {
        assert_eq!(marks["server"]["timeline"], "00000001", "{marks}");
        marks["server"]["timeline"] = "00000009".into();
        marks["server"]["synchronous"] = synchronous.into();
    });
    (house.reopen().await, last)
}

async fn a_failover_without_a_synchronous_standby_declares_a_gap(house: House) {
    let (house, last) = failed_over(house, false).await;
    let gap = gaps(&house).await.remove(0);
    assert_eq!(gap.first, last + 1);
    assert!(gap.reason.contains("timeline"), "{gap:?}");
}

async fn a_failover_to_a_synchronous_standby_leaves_no_gap(house: House) {
    let (house, last) = failed_over(house, true).await;
    assert_eq!(gaps(&house).await, []);
    assert_eq!(house.send(&numbered(20..30)).await.first_sequence, Some(last + 1));
}

async fn a_server_with_a_new_folder_joins_without_confirmation(mut house: House) {
    let last = house.send(&numbered(0..20)).await.last_sequence.unwrap();
    house.stop().await;
    let folder = tempfile::tempdir().unwrap();
    house.config.data_dir = Some(folder.path().to_owned());
    let mut house = house.reopen().await;
    assert_eq!(house.send(&numbered(20..30)).await.first_sequence, Some(last + 1));
    assert!(folder.path().join("auditstream.marks").exists());
    // A file system that cannot be written is no obstacle either.
    house.stop().await;
    house.config.data_dir = Some(folder.path().join("missing"));
    let house = house.reopen().await;
    assert_eq!(house.send(&numbered(30..40)).await.first_sequence, Some(last + 11));
}
