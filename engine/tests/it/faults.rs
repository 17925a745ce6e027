//! Rules 5, 7 and 10 under every fault of a network or a store, injected by a proxy between engine
//! and store. Every event lands once and in order, and the failure that is shown is the right one.

use std::time::Duration;

use auditstream_engine::{AwsSettings, Timeouts, connectors, destinations};
use auditstream_model::{Backoff, Batch, BatchStatus, Status};
use auditstream_testkit::s3::{BUCKET, NetworkFault as Fault, Proxy, Store};
use serde_json::json;

use crate::support::{House, On, connector, dense, events};

/// Each fault, the failure code that is shown, the PUTs until the batch is delivered, and whether
/// it is verified then.
const TABLE: &[(Fault, Option<&str>, i64, bool)] = &[
    (Fault::ServerError, Some("server"), 2, true),
    (Fault::SlowDown, Some("throttling"), 2, true),
    (Fault::ResetBefore, Some("network"), 2, true),
    (Fault::ResetDuring, Some("network"), 2, true),
    (Fault::ResetAfter, Some("network"), 2, true),
    (Fault::LostAnswer, Some("network"), 2, true),
    (Fault::Silence, Some("network"), 2, true),
    (Fault::Denied, Some("access_denied"), 2, true),
    (Fault::NoBucket, Some("no_such_bucket"), 2, true),
    (Fault::Moved, None, 2, true),
    (Fault::WrongSignatureRegion, None, 2, true),
    (Fault::MovedAsk, None, 2, true),
    (Fault::MovedNowhere, Some("region"), 2, true),
    // The next PUT is signed by the clock of the response, which the store does not share.
    (Fault::Skewed, Some("clock_skew"), 3, true),
    (Fault::ErrorIn200, Some("server"), 2, true),
    (Fault::Conflict, Some("conflict"), 2, true),
    (Fault::SameBytes, None, 1, true),
    (Fault::NotModified, None, 1, true),
    (Fault::OtherBytes, Some("object_exists"), 2, true),
    (Fault::LostAndUnreadable, Some("network"), 2, false),
    (Fault::LostAndOverwritten, Some("network"), 2, true),
];

/// Opens an engine without retries, so that every failure can be examined.
pub async fn house(endpoint: &str) -> House {
    house_with(endpoint, Timeouts::default()).await
}

async fn house_with(endpoint: &str, timeouts: Timeouts) -> House {
    let settings = AwsSettings {
        timeouts,
        ..AwsSettings::default()
    };
    let house = House::open_with(On::Sqlite, settings).await;
    let mut input = connector(endpoint);
    input.spec.backoff = Backoff::FixedDelay {
        fixed_backoff: 1,
        retry_count: 0,
    };
    connectors::create(&house.engine, &house.admin, input).await.unwrap();
    house
}

/// Deadlines that a silence reaches within a test, and a busy machine does not.
fn short() -> Timeouts {
    Timeouts {
        read: Duration::from_secs(6),
        slowest: 100_000_000,
        ..Timeouts::default()
    }
}

struct Scene {
    house: House,
    store: Store,
    proxy: Proxy,
    sent: usize,
}

impl Scene {
    async fn open() -> Self {
        let store = Store::start().await;
        let proxy = Proxy::start(&store).await;
        let house = house_with(&proxy.endpoint, short()).await;
        house.destination(BUCKET, json!({"compression": "none"})).await;
        house.toggle(Status::Active).await;
        house.streamed().await;
        Self {
            house,
            store,
            proxy,
            sent: 0,
        }
    }

    /// Sends an event that is too long for one packet.
    async fn send(&mut self) {
        self.sent += 1;
        let mut event = events().remove(0);
        event["auditEventId"] = format!("fault {}", self.sent).into();
        event["auditEventMetadata"]["filling"] = "x".repeat(900_000).into();
        self.house.send(&[event]).await;
    }

    async fn newest(&self) -> Batch {
        self.house.batches().await.remove(0)
    }

    async fn batch(&self, number: i64) -> Batch {
        self.house
            .batches()
            .await
            .into_iter()
            .find(|batch| batch.number == number)
            .unwrap()
    }

    /// Runs once with the fault and returns the batch when the run has ended.
    async fn meet(&mut self, fault: Fault) -> Batch {
        let number = self.newest().await.number + 1;
        self.send().await;
        self.proxy.next(&[fault]);
        destinations::stream_now(&self.house.engine, &self.house.admin, "siem")
            .await
            .unwrap();
        for _ in 0..3000 {
            let batch = self.newest().await;
            let ended = matches!(batch.status, BatchStatus::Failed | BatchStatus::Success);
            if batch.number == number && batch.attempts > 0 && ended {
                return batch;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{fault:?}: {:?}", self.newest().await);
    }

    async fn suffer(&mut self, fault: Fault, what: &str) {
        let &(_, code, attempts, verified) = TABLE.iter().find(|row| row.0 == fault).unwrap();
        let met = self.meet(fault).await;
        let shown = self.house.settled(|_| true).await.streaming_details.failure;
        assert_eq!(
            met.error.as_ref().map(|error| error.code.as_str()),
            code,
            "{what} {fault:?}: {met:?}"
        );
        assert_eq!(
            shown.as_ref().map(|failure| failure.code.as_str()),
            code,
            "{what} {fault:?}"
        );
        assert!(
            shown.as_ref().is_none_or(|failure| !failure.hint.is_empty()),
            "{what} {fault:?}"
        );
        match fault {
            Fault::Skewed => assert!(shown.unwrap().hint.contains("ahead of that of AWS"), "{what}"),
            Fault::Denied => assert_eq!(met.request_id.as_deref(), Some("REQUEST1"), "{what}"),
            Fault::Moved | Fault::WrongSignatureRegion | Fault::MovedAsk => {
                let signed_for = self.proxy.state.lock().unwrap().regions.last().unwrap().clone();
                assert!(
                    met.remark.unwrap().contains(&signed_for) && signed_for.starts_with("eu-west-"),
                    "{what}"
                );
            }
            Fault::OtherBytes => {
                let path = self.store.path(BUCKET, &met.key);
                assert_eq!(std::fs::read_to_string(&path).unwrap(), "another writer's", "{what}");
                std::fs::remove_file(path).unwrap();
            }
            _ => {}
        }
        self.house.streamed().await;
        let healed = self.batch(met.number).await;
        assert_eq!(
            (healed.attempts, healed.verified, healed.error),
            (attempts, Some(verified), None),
            "{what} {fault:?}"
        );
        let mut state = self.proxy.state.lock().unwrap();
        (state.region, state.ignores_condition) = (None, false);
        state.denied.clear();
    }

    fn in_order(&self, what: &str) {
        let sequences = self.store.sequences(BUCKET);
        assert!(dense(&sequences), "{what}: {sequences:?}");
        assert!(sequences.is_sorted(), "{what}: {sequences:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_fault_is_reported_correctly_and_survived() {
    let mut scene = Scene::open().await;
    for row in TABLE {
        scene.suffer(row.0, "alone").await;
        scene.in_order(&format!("{:?}", row.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_moves_again_is_reported_with_its_region() {
    let mut scene = Scene::open().await;
    scene.proxy.next(&[Fault::WrongSignatureRegion]);
    let met = scene.meet(Fault::MovedAsk).await;
    let failure = met.error.unwrap();
    let region = scene.proxy.state.lock().unwrap().region.clone().unwrap();
    assert_eq!((failure.code.as_str(), met.attempts), ("region", 2), "once a run");
    assert!(
        failure.message.contains(&format!("{BUCKET} is in {region}")),
        "{failure:?}"
    );
    assert!(failure.hint.contains(&region), "{failure:?}");
    scene.house.streamed().await;
    scene.in_order("moved on");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_faults_is_survived() {
    for seed in [1_u64, 20_261_124] {
        let mut scene = Scene::open().await;
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut pick = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random % below as u64).unwrap()
        };
        for step in 0..12 {
            let what = format!("seed {seed}, step {step}");
            scene.suffer(TABLE[pick(TABLE.len())].0, &what).await;
        }
        // Several in a row on one batch.
        let in_a_row: Vec<Fault> = (0..8)
            .map(|_| TABLE[pick(TABLE.len())].0)
            .filter(|fault| *fault != Fault::OtherBytes)
            .collect();
        scene.proxy.next(&in_a_row);
        scene.send().await;
        scene.house.streamed().await;
        scene.in_order(&format!("seed {seed}, {in_a_row:?}"));
    }
}
