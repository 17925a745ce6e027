//! Rules 4, 5 and 6 for random input: how a trail is cut into batches, that an object's bytes
//! follow from its batch alone, and that no bytes crash the parsers.

use std::time::Duration;

use auditstream_engine::streaming::encode;
use auditstream_engine::trail::{BodyFormat, ingest, parse, parse_cursor};
use auditstream_engine::{Error, destinations};
use auditstream_model::limits::{self, EVENT_BYTES};
use auditstream_model::{BatchStatus, BucketName, Compression, Format, Identifier, ListQuery, Prefix, Status};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;

use crate::child::{Process, say};
use crate::support::{House, On, events};
use auditstream_testkit::s3::{BUCKET, Store, lines};

const BATCH_EVENTS: usize = limits::BATCH_EVENTS as usize;
const BATCH_BYTES: usize = limits::BATCH_BYTES as usize;

/// A runner with a fixed seed unless `AUDITSTREAM_SEED` is set; `AUDITSTREAM_CASES_TIMES`
/// multiplies the cases.
fn runner(cases: u32) -> TestRunner {
    let number = |variable, default| std::env::var(variable).map_or(default, |text| text.parse::<u64>().unwrap());
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("AUDITSTREAM_SEED", 20_261_124).to_le_bytes());
    let config = Config {
        cases: cases * u32::try_from(number("AUDITSTREAM_CASES_TIMES", 1)).unwrap(),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// An event whose JSON has about `bytes` bytes, and never more than the limit.
fn sized(id: &str, bytes: usize) -> serde_json::Value {
    let mut event = events().remove(0);
    event["auditEventId"] = id.into();
    event["auditEventMetadata"] = json!({"filling": ""});
    let bare = event.to_string().len();
    event["auditEventMetadata"]["filling"] = "x".repeat(bytes.min(EVENT_BYTES).saturating_sub(bare)).into();
    event
}

async fn cut(groups: &[(usize, usize)]) {
    let store = Store::start().await;
    let mut house = House::open(On::Sqlite).await;
    house.stop_streaming().await;
    house.connect(&store).await;
    house.destination(BUCKET, json!({})).await;
    for (group, &(count, bytes)) in groups.iter().enumerate() {
        let in_a_request = (12_000_000 / bytes.max(1000)).clamp(1, 5000);
        let ids: Vec<_> = (0..count).map(|one| format!("cut {group} {one}")).collect();
        for ids in ids.chunks(in_a_request) {
            let portion: Vec<_> = ids.iter().map(|id| sized(id, bytes)).collect();
            house.send(&portion).await;
        }
    }
    house.toggle(Status::Active).await;
    let house = house.restart().await;
    house.all_caught_up().await;
    let query = ListQuery::default();
    let list = destinations::batches(&house.engine, &house.admin, "siem", &query).await;
    let mut batches = list.unwrap().items;
    batches.reverse();
    let objects = store.objects(BUCKET);
    let mut expected = 0;
    for batch in &batches {
        assert_eq!(batch.status, BatchStatus::Success);
        assert_eq!(batch.first_sequence, expected + 1, "{groups:?}: contiguous");
        expected = batch.last_sequence;
        let events = usize::try_from(batch.events).unwrap();
        let bytes = usize::try_from(batch.bytes).unwrap();
        assert!((1..=BATCH_EVENTS).contains(&events), "{groups:?}: {batch:?}");
        assert!(bytes <= BATCH_BYTES || events == 1, "{groups:?}: {batch:?}");
        let object = &objects[&batch.key];
        assert_eq!(encode::decompress(object, Compression::Gzip).unwrap().len(), bytes);
        assert_eq!(lines(&batch.key, object).len(), events, "{groups:?}: {batch:?}");
    }
    assert_eq!(objects.len(), batches.len());
    // A batch is closed only when the next event does not fit, and at multiples of its events.
    for batch in &batches[..batches.len() - 1] {
        let full = usize::try_from(batch.last_sequence)
            .unwrap()
            .is_multiple_of(BATCH_EVENTS);
        assert!(
            full || usize::try_from(batch.bytes).unwrap() > BATCH_BYTES - 2 * EVENT_BYTES,
            "{groups:?}: {batch:?}"
        );
    }
}

#[test]
fn ten_thousand_small_events_are_one_batch_and_large_ones_close_it_earlier() {
    runtime().block_on(cut(&[(BATCH_EVENTS + 1, 600), (1, EVENT_BYTES), (17, EVENT_BYTES)]));
}

#[test]
fn events_of_any_size_are_cut_into_batches_within_the_limits() {
    let groups = prop::collection::vec(
        (1_usize..40, prop_oneof![600_usize..3000, 200_000..EVENT_BYTES + 1]),
        1..4,
    );
    runner(5)
        .run(&groups, |groups| {
            runtime().block_on(cut(&groups));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Returns the hash and bytes of a batch in every format and compression.
fn bytes_of(payloads: &[String], first: i64) -> Vec<([u8; 32], Vec<u8>)> {
    let last = first + i64::try_from(payloads.len()).unwrap() - 1;
    let bytes = payloads.iter().map(String::len).sum();
    let mut all = Vec::new();
    for format in [Format::Ndjson, Format::JsonArray] {
        for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
            let mut encoder = encode::Encoder::new(first, last, bytes, format);
            payloads.iter().for_each(|payload| encoder.push(payload));
            let content = encoder.finish();
            let body = encode::compress(content.text.as_bytes(), compression, None).unwrap();
            assert_eq!(encode::decompress(&body, compression).unwrap(), content.text.as_bytes());
            all.push((content.sha256, body));
        }
    }
    all
}

#[test]
fn any_batch_has_the_same_bytes_each_time() {
    let payloads = prop::collection::vec("\\PC{0,200}", 1..30);
    runner(100)
        .run(&(payloads, 1_i64..1 << 40), |(payloads, first)| {
            let payloads: Vec<_> = payloads
                .iter()
                .map(|text| format!(r#"{{"t":{},"auditEventMetadata":{{"#, json!(text)))
                .collect();
            prop_assert_eq!(bytes_of(&payloads, first), bytes_of(&payloads, first));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Returns one digest over the bytes of a batch in every format and compression.
fn digest() -> String {
    let payloads: Vec<_> = events()
        .iter()
        .map(|event| format!(r#"{{"e":{event},"auditEventMetadata":{{"#))
        .collect();
    let all: Vec<u8> = bytes_of(&payloads, 7)
        .into_iter()
        .flat_map(|(sha256, body)| [sha256.to_vec(), body].concat())
        .collect();
    format!("bytes {:02x?}", encode::sha256(&all))
}

#[test]
fn another_process_at_another_time_produces_the_same_bytes() {
    let house = runtime().block_on(House::open(On::Sqlite));
    let here = digest();
    // The gzip header has a resolution of one second.
    std::thread::sleep(Duration::from_millis(1100));
    for zone in ["Pacific/Kiritimati", "America/Los_Angeles"] {
        let process = Process::start("properties::the_process", &house, &[("TZ", zone.into())]);
        assert!(process.says(&here, Duration::from_secs(30)), "{zone}");
    }
}

#[test]
#[ignore = "the process that the test above starts"]
fn the_process() {
    say(&digest());
}

/// Random bytes, almost JSON, and a recorded event with some bytes changed.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (
        0_usize..120,
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        r#"[\[\]{}",:\\ud0-9a-f \n]{0,120}"#.prop_map(String::into_bytes),
        damaged.prop_map(|(event, changes)| {
            let mut bytes = events()[event].to_string().into_bytes();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        }),
    ]
}

#[test]
fn refused_bytes_are_never_stored_and_no_bytes_crash_the_server() {
    let runtime = runtime();
    let house = runtime.block_on(House::open(On::Sqlite));
    let last = || {
        runtime.block_on(async {
            let mut connection = house.connection().await;
            let query = sqlx::query_scalar::<_, i64>("SELECT last_sequence FROM account");
            query.fetch_one(&mut connection).await.unwrap()
        })
    };
    runner(500)
        .run(&(bodies(), any::<bool>()), |(body, ndjson)| {
            let format = if ndjson { BodyFormat::Ndjson } else { BodyFormat::Json };
            let before = last();
            match runtime.block_on(ingest(&house.engine, &house.ingester, format, body.into())) {
                // A changed byte may produce another valid event.
                Ok(outcome) => prop_assert_eq!(last(), before + i64::from(outcome.accepted)),
                Err(Error::Refused(_)) => prop_assert_eq!(last(), before),
                Err(other) => panic!("{other}"),
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_bytes_crash_a_parser() {
    runner(3000)
        .run(&bodies(), |bytes| {
            for format in [BodyFormat::Json, BodyFormat::Ndjson] {
                let _ = parse(format, &bytes, "default");
            }
            for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
                let _ = encode::decompress(&bytes, compression);
            }
            let text = String::from_utf8_lossy(&bytes);
            let _ = parse_cursor(&text);
            let _ = (Identifier::parse(&text), BucketName::parse(&text), Prefix::parse(&text));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
