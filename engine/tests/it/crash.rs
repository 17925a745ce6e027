//! Rules 1, 2, 5, 8 and 9: a process that is killed before or after any change of state loses
//! nothing, duplicates nothing, and continues when it is started again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use auditstream_engine::Precondition;
use auditstream_engine::destinations;
use auditstream_model::{DestinationInput, ListQuery, Status};
use futures::StreamExt as _;
use serde_json::json;

use crate::child::{Inside, Process, patience, say};
use crate::support::{House, On, destination, events};
use auditstream_testkit::s3::{BUCKET, Store, lines};
use auditstream_testkit::s3::{NetworkFault as Fault, Proxy};

/// The behaviour of the store at the first PUTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    Well,
    /// Stored; the response is lost.
    Lost,
    /// Not stored: 500.
    Refused,
    /// Another writer's object has the key.
    Taken,
    /// Stored; the response is lost, and reading is forbidden from then on.
    Unreadable,
    /// As `Well`, in many small batches, of which each is confirmed while the next one is ready.
    Many,
}

use Scene::{Lost, Many, Refused, Taken, Unreadable, Well};

/// Every failpoint, with the behaviour of the store on the way to it; `:2` is its second passage.
const POINTS: &[(&str, &[Scene])] = &[
    ("create.committing", &[Well]),
    ("create.committed", &[Well]),
    ("ingest.committing", &[Well]),
    ("ingest.committed", &[Well]),
    ("ingest.committed:2", &[Well]),
    ("toggle.committing", &[Well]),
    ("toggle.committed", &[Well]),
    ("toggle.committed:2", &[Well]),
    ("edit.committing", &[Well]),
    ("edit.committed", &[Well]),
    ("stream_now.committing", &[Well]),
    ("stream_now.committed", &[Well]),
    ("claim.committing", &[Well]),
    ("claim.committed", &[Well]),
    ("freeze.committing", &[Well]),
    ("freeze.committed", &[Well]),
    ("advance.committing", &[Many]),
    ("advance.committed", &[Many]),
    ("attempt.committing", &[Lost]),
    ("attempt.committed", &[Lost, Refused, Taken]),
    ("put.beginning", &[Well]),
    ("put.begun", &[Well]),
    ("put.under_way", &[Well]),
    ("put.answered:3", &[Many]),
    ("put.answered", &[Well, Lost, Refused, Taken, Unreadable]),
    ("put.answered:2", &[Lost]),
    ("compare.beginning", &[Lost, Taken]),
    ("confirm.committing", &[Well, Lost]),
    ("confirm.committed", &[Well, Lost]),
    ("failure.committing", &[Lost, Refused, Taken, Unreadable]),
    ("failure.committed", &[Lost, Refused, Taken]),
    ("caught_up.committing", &[Well]),
    ("caught_up.committed", &[Well]),
    ("merge_segments.committing", &[Well]),
    ("merge_segments.committed", &[Well]),
    ("merge_segments.committed:2", &[Well]),
    ("release.committing", &[Taken]),
    ("release.committed", &[Taken]),
    ("cursor.committing", &[Well]),
    ("cursor.committed", &[Well]),
    ("rename.committing", &[Taken]),
    ("rename.committed", &[Taken]),
];

/// Transactions without a scene here: single changes by an admin, a user or the server's upkeep. A
/// kill before or after one of them leaves a state from which another test starts anyway.
const SINGLE_CHANGES: &[&str] = &[
    "create_account",
    "ensure_default_account",
    "create_installation",
    "record_place",
    "declare_restore",
    "pass_gap",
    "create_user",
    "set_role",
    "remove_user",
    "reset_password",
    "setup_link",
    "invite",
    "withdraw_invitation",
    "password_link",
    "redeem",
    "sign_in",
    "failed_sign_in",
    "choose_account",
    "sign_out",
    "sign_out_everywhere",
    "change_password",
    "count_attempt",
    "write_without_effect",
    "create_token",
    "revoke_token",
    "store_last_uses",
    "check_bucket",
    "check_unsaved_bucket",
    "create_connector",
    "edit_connector",
    "delete_connector",
    "delete_destination",
    "test_connector",
    "set_webhook",
    "remove_webhook",
    "test_webhook",
    "notify_lag",
    "claim_message",
    "delete_message",
    "rotate_keys",
    "retire_keys",
    "delete_unused_data_keys",
    "remove_events",
    "release_month",
    "create_partitions",
    "complete_partitions",
    "detach_partition",
    "move_to_month",
    "move_ids",
    "set_aside",
    "set_ids_aside",
    "shrink_file",
    "claim_merging",
    "release_merging",
    "serve_idle",
    "expire_batches",
    "remove_batches",
    "note_expired",
    "correct_receipts",
    "correct_settings",
    "set_retention",
    "confirm_removal",
    "advance_clock",
    "confirm_clock",
    "note_reading",
    "begin_export",
    "end_export",
    "store_id_filter",
    "remove_ids",
    "announce_relocation",
    "claim_index",
    "index_events",
    "begin_merge",
    "store_merged",
    "merge_slices",
    "retire_slices",
    "retire_damaged",
    "delete_slice",
    "rebuild_index",
];

/// Points at which background tasks panic; see [`supervision`](crate::supervision).
const TASKS: &[&str] = &[
    "scheduler.look",
    "heartbeat.renew",
    "writer.look",
    "writer.commit",
    "retention.sweep",
    "batches.sweep",
    "merging.look",
    "index.look",
    "last_uses.flush",
    "event_ids.look",
    "partitions.look",
    "continuity.compare",
    "webhooks.send",
    "lag_monitor.check",
];

/// The number of events that the process sends before it moves the cursor, and after.
const EVENTS: usize = 40;
const LATER: usize = 10;
const SCENE: &str = "AUDITSTREAM_TEST_SCENE";

fn numbered(numbers: std::ops::Range<usize>) -> Vec<serde_json::Value> {
    let known = events();
    numbers
        .map(|number| {
            let mut event = known[number % known.len()].clone();
            event["auditEventId"] = format!("crash {number:04}").into();
            event
        })
        .collect()
}

/// The names in `failpoint::reached("name")` and `.transaction("name", …)` of every file.
fn points_in_the_sources(folder: &std::path::Path, points: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            points_in_the_sources(&path, points);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let names = |call: &str| -> Vec<String> {
            let arguments = text.split(call).skip(1).map(str::trim_start);
            let quoted = arguments.filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
            quoted.map(str::to_owned).collect()
        };
        points.extend(names("failpoint::reached("));
        for name in names(".transaction(") {
            points.extend([format!("{name}.committing"), format!("{name}.committed")]);
        }
    }
}

#[test]
fn every_failpoint_in_the_sources_is_in_the_table() {
    let mut found = BTreeSet::new();
    points_in_the_sources(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    let table = POINTS
        .iter()
        .map(|(point, _)| point.split(':').next().unwrap().to_owned());
    let single = SINGLE_CHANGES
        .iter()
        .flat_map(|name| [format!("{name}.committing"), format!("{name}.committed")]);
    // The first reads only; `it::search` stops searches there, and `it::partitions` at the second.
    let reading = ["search.connected", "partitions.detached"].map(str::to_owned);
    let moving = crate::relocation::POINTS.iter().map(|point| (*point).to_owned());
    let tasks = TASKS.iter().map(|point| (*point).to_owned());
    assert_eq!(
        found,
        table.chain(single).chain(reading).chain(moving).chain(tasks).collect()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_failpoint_loses_and_duplicates_nothing_on_sqlite() {
    everywhere(On::Sqlite, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_failpoint_loses_and_duplicates_nothing_on_postgres() {
    // Another server takes over after five idle seconds, so that many can wait at once.
    everywhere(On::Postgres, 8).await;
}

async fn everywhere(on: On, at_once: usize) {
    let only = std::env::var("AUDITSTREAM_CRASH_POINT").ok();
    let began = std::time::Instant::now();
    let cases = POINTS
        .iter()
        .flat_map(|(point, scenes)| scenes.iter().map(move |scene| (*point, *scene)));
    let cases: Vec<_> = cases
        .filter(|(point, _)| only.as_ref().is_none_or(|only| only == point))
        .collect();
    let total = cases.len();
    let tasks = cases.into_iter().map(|(point, scene)| async move {
        let outcome = tokio::spawn(killed_at(on, point, scene)).await;
        outcome.map_err(|panic| format!("{point} {scene:?}: {panic}"))
    });
    let wrong: Vec<_> = futures::stream::iter(tasks)
        .buffer_unordered(at_once)
        .filter_map(|outcome| async { outcome.err() })
        .collect()
        .await;
    assert!(wrong.is_empty(), "{on:?}: {wrong:#?}");
    // Shown with --nocapture.
    say(&format!("{total} kills on {on:?} in {:?}", began.elapsed()));
}

async fn killed_at(on: On, point: &'static str, scene: Scene) {
    let store = Store::start().await;
    let proxy = Proxy::start(&store).await;
    match scene {
        Well | Many => {}
        Lost => proxy.next(&[Fault::LostAnswer]),
        Refused => proxy.next(&[Fault::ServerError]),
        Unreadable => proxy.next(&[Fault::LostAndUnreadable]),
        Taken => proxy.next(&[Fault::OtherBytes]),
    }
    let mut house = House::open(on).await;
    house.stop_streaming().await;
    let input = crate::support::connector(&proxy.endpoint);
    auditstream_engine::connectors::create(&house.engine, &house.admin, input)
        .await
        .unwrap();
    house.stop().await;
    let house = tokio::task::spawn_blocking(move || {
        let scene = (SCENE, format!("{scene:?}"));
        let stop = ("AUDITSTREAM_FAILPOINT", point.to_owned());
        let mut first = Process::start("crash::the_process", &house, &[scene.clone(), stop]);
        let name = point.split(':').next().unwrap();
        assert!(
            first.says(&format!("failpoint {name}"), patience(on)),
            "{point} was not reached"
        );
        first.kill();
        let mut second = Process::start("crash::the_process", &house, &[scene]);
        assert!(second.says("finished", patience(on)), "{point}: it did not continue");
        assert!(second.ends_well(patience(on)), "{point}");
        house
    })
    .await
    .unwrap();
    check(&house, &store, &format!("{on:?} {point} {scene:?}")).await;
}

/// Checks the bucket life by life: each is in order and without gaps from the start of the trail,
/// and the last one is complete.
async fn check(house: &House, store: &Store, what: &str) {
    let mut connection = house.connection().await;
    let last: i64 = sqlx::query_scalar("SELECT last_sequence FROM account")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let uid: String = sqlx::query_scalar("SELECT uid FROM streaming_destination")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let delivered: Vec<(i64, String)> =
        sqlx::query_as("SELECT number, key FROM streaming_batch WHERE status = 'SUCCESS' ORDER BY number")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let renamed: BTreeMap<&str, &(i64, String)> = delivered.iter().map(|batch| (batch.1.as_str(), batch)).collect();
    let mut lives: BTreeMap<String, Vec<(i64, serde_json::Value)>> = BTreeMap::new();
    for (key, bytes) in store.objects(BUCKET) {
        if bytes == b"another writer's" {
            continue;
        }
        let name = key.rsplit('/').next().unwrap();
        let number: i64 = name[..12].parse().unwrap();
        // A renamed batch belongs to the life in which it was frozen: here there was one.
        let life = if what.contains("Taken") {
            assert!(renamed.contains_key(key.as_str()), "{what}: {key} is not known");
            uid.clone()
        } else {
            name.rsplit('_').next().unwrap().split('.').next().unwrap().to_owned()
        };
        let landed = lines(&key, &bytes).into_iter().map(|event| (number, event));
        lives.entry(life).or_default().extend(landed);
    }
    for (life, landed) in &lives {
        let numbers: Vec<i64> = landed.iter().map(|event| event.0).collect();
        assert!(numbers.is_sorted(), "{what}: batches of {life}");
        let sequences: Vec<i64> = landed
            .iter()
            .map(|event| event.1["auditEventMetadata"]["sequence"].as_i64().unwrap())
            .collect();
        let count = i64::try_from(sequences.len()).unwrap();
        assert_eq!(sequences, (1..=count).collect::<Vec<_>>(), "{what}: life {life}");
    }
    let landed = lives.get(&uid).unwrap_or_else(|| panic!("{what}: nothing landed"));
    assert_eq!(i64::try_from(landed.len()).unwrap(), last, "{what}: the whole trail");
    let ids: Vec<&str> = landed
        .iter()
        .filter_map(|event| event.1["auditEventId"].as_str())
        .filter(|id| id.starts_with("crash "))
        .collect();
    let all = numbered(0..EVENTS + if what.contains("Taken") { 0 } else { LATER });
    let sent: Vec<&str> = all
        .iter()
        .map(|event| event["auditEventId"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids, sent,
        "{what}: what was acknowledged, in the order in which it was sent"
    );
}

/// The work of the process; when started again it continues where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the tests above start and kill"]
async fn the_process() {
    let Some(inside) = Inside::open_with(|config| {
        config.stream_interval = Duration::from_secs(3600);
        config.merging.every = Duration::from_millis(20);
        config.merging.settle = Duration::ZERO;
    })
    .await
    else {
        return;
    };
    let background = inside.engine.start();
    let (engine, admin) = (&inside.engine, &inside.admin);
    let there = destinations::list(engine, admin, &ListQuery::default()).await.unwrap();
    if there.items.is_empty() {
        destinations::create(engine, admin, streamed()).await.unwrap();
    }
    for portion in [0..EVENTS / 2, EVENTS / 2..EVENTS] {
        inside.send(&numbered(portion)).await;
    }
    if std::env::var(SCENE).unwrap() == "Taken" {
        activate(&inside).await;
        settled(&inside, true).await;
    } else {
        activate(&inside).await;
        destinations::stream_now(engine, admin, "siem").await.unwrap();
        settled(&inside, false).await;
        run_without_events(&inside).await;
        let mut edited = streamed();
        edited.description = "edited".into();
        edited.status = Some(Status::Active);
        destinations::replace(engine, admin, "siem", edited, &Precondition::None)
            .await
            .unwrap();
        destinations::set_status(engine, admin, "siem", Status::Inactive)
            .await
            .unwrap();
        destinations::move_cursor(engine, admin, "siem", 0, &Precondition::None)
            .await
            .unwrap();
        inside.send(&numbered(EVENTS..EVENTS + LATER)).await;
        activate(&inside).await;
        settled(&inside, false).await;
    }
    background.stop().await;
    inside.engine.close().await;
    say("finished");
}

fn streamed() -> DestinationInput {
    let is_many = std::env::var(SCENE).unwrap() == "Many";
    let options = if is_many { json!({"batch_events": 4}) } else { json!({}) };
    destination(BUCKET, options)
}

async fn activate(inside: &Inside) {
    destinations::set_status(&inside.engine, &inside.admin, "siem", Status::Active)
        .await
        .unwrap();
}

/// Waits for a run that finds nothing to send.
async fn run_without_events(inside: &Inside) {
    let (engine, admin) = (&inside.engine, &inside.admin);
    let streamed_at = async || {
        let item = destinations::overview(engine, admin, "siem").await.unwrap();
        item.streaming_details.last_streamed_at
    };
    let before = streamed_at().await;
    for _ in 0..1200 {
        destinations::stream_now(engine, admin, "siem").await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
        if streamed_at().await > before {
            return;
        }
    }
    panic!("there was no run");
}

/// Waits until everything is delivered, requesting runs, and a new name where that is needed.
async fn settled(inside: &Inside, rename: bool) {
    let (engine, admin) = (&inside.engine, &inside.admin);
    for _ in 0..1200 {
        let item = destinations::aggregate(engine, admin, &ListQuery::default())
            .await
            .unwrap()
            .items
            .remove(0)
            .streaming_details;
        if item.behind == Some(0) && item.failure.is_none() {
            return;
        }
        if rename && item.failure.as_ref().is_some_and(|failure| failure.blocked) {
            let newest = destinations::batches(engine, admin, "siem", &ListQuery::default())
                .await
                .unwrap()
                .items
                .remove(0);
            // Refused while a run is in progress, which blocks again in a moment.
            let _ = destinations::rename_batch(engine, admin, "siem", newest.number).await;
        }
        destinations::stream_now(engine, admin, "siem").await.unwrap();
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not catch up");
}
