//! Rules 5, 7 and 10 under every fault that a network or a store has: a proxy between engine and store that breaks what it
//! is told to. Whatever it does, every event lands once and in order, and what is shown is true while it lasts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use auditstream_engine::{AwsSettings, Timeouts, connectors, destinations};
use auditstream_model::{Backoff, Batch, BatchStatus, Status};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::s3::{BUCKET, Store};
use crate::support::{House, On, connector, dense, events};
use crate::wire::{self, Request};

/// What becomes of the PUT of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    ServerError,
    SlowDown,
    ResetBefore,
    ResetDuring,
    ResetAfter,
    /// Stored; the connection breaks instead of an answer.
    LostAnswer,
    /// Accepted, and never answered.
    Silence,
    Denied,
    NoBucket,
    /// 301 with the region in a header.
    Moved,
    /// 400 with the region in the body.
    WrongSignatureRegion,
    /// 307 without a word of the region; HeadBucket tells it.
    MovedAsk,
    /// 301, and nobody tells where to.
    MovedNowhere,
    Skewed,
    ErrorIn200,
    Conflict,
    /// Stored, and answered as if it had been there.
    SameBytes,
    /// The same with 304.
    NotModified,
    /// Somebody else's object has the name.
    OtherBytes,
    /// The answer is lost, and reading forbidden.
    LostAndUnreadable,
    /// The answer is lost, and the store then ignores the condition.
    LostAndOverwritten,
}

/// Each fault, the code that is shown while it lasts, PUTs until the batch is delivered, and whether it is then verified.
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
    // The next one is signed by the clock that the answer told, which the store behind does not share.
    (Fault::Skewed, Some("clock_skew"), 3, true),
    (Fault::ErrorIn200, Some("server"), 2, true),
    (Fault::Conflict, Some("conflict"), 2, true),
    (Fault::SameBytes, None, 1, true),
    (Fault::NotModified, None, 1, true),
    (Fault::OtherBytes, Some("object_exists"), 2, true),
    (Fault::LostAndUnreadable, Some("network"), 2, false),
    (Fault::LostAndOverwritten, Some("network"), 2, true),
];

/// What the proxy does, and what it has seen.
#[derive(Default)]
pub struct Told {
    pub faults: VecDeque<Fault>,
    /// Methods that are refused with 403, object by object.
    pub denied: Vec<&'static str>,
    /// Whether the store overwrites whatever the condition.
    pub ignores_condition: bool,
    /// What HeadBucket tells.
    pub region: Option<String>,
    /// The region that each PUT was signed for.
    pub regions: Vec<String>,
    moves: usize,
}

pub struct Proxy {
    pub endpoint: String,
    pub told: Arc<Mutex<Told>>,
}

impl Proxy {
    pub async fn start(store: &Store) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Told::default()));
        let shared = Arc::clone(&told);
        let behind = Behind {
            address: store.endpoint.trim_start_matches("http://").to_owned(),
            folder: store.path("", ""),
        };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (told, behind) = (Arc::clone(&shared), behind.clone());
                tokio::spawn(async move { behind.serve(socket, &told).await });
            }
        });
        Self { endpoint, told }
    }

    pub fn next(&self, faults: &[Fault]) {
        self.told.lock().unwrap().faults.extend(faults);
    }
}

#[derive(Clone)]
struct Behind {
    address: String,
    folder: std::path::PathBuf,
}

impl Behind {
    async fn serve(&self, mut socket: TcpStream, told: &Mutex<Told>) -> Option<()> {
        let mut request = wire::read_head(&mut socket).await?;
        let is_put = request.method == "PUT";
        let path = request.path.split('?').next().unwrap().replace("%3D", "=");
        let object = self.folder.join(path.trim_start_matches('/'));
        let is_object = path.trim_matches('/').contains('/');
        let (fault, region, denied, overwrites) = {
            let mut told = told.lock().unwrap();
            let fault = if is_put && path.contains("account=") {
                told.faults.pop_front()
            } else {
                None
            };
            if is_put {
                told.regions.push(request.region().unwrap_or_default().to_owned());
            }
            told.moves += 1;
            let elsewhere = format!("eu-west-{}", told.moves);
            if fault == Some(Fault::MovedAsk) {
                told.region = Some(elsewhere.clone());
            }
            let region = if is_put { Some(elsewhere) } else { told.region.clone() };
            let denied = is_object && told.denied.contains(&request.method.as_str());
            (fault, region, denied, told.ignores_condition)
        };
        let region = region.unwrap_or_default();
        match fault {
            Some(Fault::ResetBefore) => {
                wire::reset(socket);
                return None;
            }
            Some(Fault::ResetDuring) => {
                let length: usize = request.header("content-length")?.parse().ok()?;
                while request.body.is_empty() {
                    socket.read_buf(&mut request.body).await.ok()?;
                }
                assert!(request.body.len() < length, "the body is too short for this fault");
                wire::reset(socket);
                return None;
            }
            _ => {}
        }
        wire::read_body(&mut socket, &mut request).await?;
        if denied {
            wire::answer(&mut socket, 403, &[], &error("AccessDenied", "")).await;
            return None;
        }
        if is_put && overwrites && object.is_file() {
            std::fs::remove_file(&object).unwrap();
        }
        if !is_object && request.method == "HEAD" && !region.is_empty() {
            wire::answer(&mut socket, 301, &[("x-amz-bucket-region", &region)], "").await;
            return None;
        }
        let refusal: (u16, &[(&str, &str)], String) = match fault {
            None => {
                let answer = self.forward(&request).await?;
                let _ = socket.write_all(&answer).await;
                return None;
            }
            Some(Fault::ResetBefore | Fault::ResetDuring) => return None,
            Some(Fault::ResetAfter) => {
                wire::reset(socket);
                return None;
            }
            Some(Fault::LostAnswer | Fault::LostAndUnreadable | Fault::LostAndOverwritten) => {
                self.forward(&request).await?;
                let mut told = told.lock().unwrap();
                if fault == Some(Fault::LostAndUnreadable) {
                    told.denied.push("HEAD");
                }
                told.ignores_condition |= fault == Some(Fault::LostAndOverwritten);
                wire::reset(socket);
                return None;
            }
            Some(Fault::Silence) => {
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
                return None;
            }
            Some(Fault::SameBytes | Fault::NotModified) => {
                self.forward(&request).await?;
                let status = if fault == Some(Fault::SameBytes) { 412 } else { 304 };
                (status, &[], String::new())
            }
            Some(Fault::OtherBytes) => {
                std::fs::create_dir_all(object.parent().unwrap()).unwrap();
                if !object.exists() {
                    std::fs::write(&object, "somebody else's").unwrap();
                }
                let answer = self.forward(&request).await?;
                let _ = socket.write_all(&answer).await;
                return None;
            }
            Some(Fault::ServerError) => (500, &[], error("InternalError", "")),
            Some(Fault::SlowDown) => (503, &[], error("SlowDown", "")),
            Some(Fault::Denied) => (403, &[("x-amz-request-id", "REQUEST1")], error("AccessDenied", "")),
            Some(Fault::NoBucket) => (404, &[], error("NoSuchBucket", "")),
            Some(Fault::Moved) => (301, &[("x-amz-bucket-region", &region)], error("PermanentRedirect", "")),
            Some(Fault::WrongSignatureRegion) => {
                let told = format!("<Region>{region}</Region>");
                (400, &[], error("AuthorizationHeaderMalformed", &told))
            }
            Some(Fault::MovedAsk) => (307, &[], error("TemporaryRedirect", "")),
            Some(Fault::MovedNowhere) => (301, &[], error("PermanentRedirect", "")),
            Some(Fault::Skewed) => (
                403,
                &[("date", "Tue, 24 Nov 2015 08:00:00 GMT")],
                error("RequestTimeTooSkewed", ""),
            ),
            Some(Fault::ErrorIn200) => (200, &[], error("InternalError", "")),
            Some(Fault::Conflict) => (409, &[], error("ConditionalRequestConflict", "")),
        };
        wire::answer(&mut socket, refusal.0, refusal.1, &refusal.2).await;
        None
    }

    /// The store's whole answer.
    async fn forward(&self, request: &Request) -> Option<Vec<u8>> {
        let mut store = TcpStream::connect(&self.address).await.ok()?;
        store.write_all(&request.bytes()).await.ok()?;
        let mut answer = Vec::new();
        store.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    }
}

fn error(code: &str, more: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message>{more}</Error>")
}

/// An engine that does not try again by itself, so that every failure can be looked at.
pub async fn house(endpoint: &str) -> House {
    let settings = AwsSettings {
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(2),
            whole: Duration::from_secs(20),
        },
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
        let house = house(&proxy.endpoint).await;
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

    /// One more event, too long to be sent in one piece.
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

    /// One run that meets the fault, to its end.
    async fn meet(&mut self, fault: Fault) -> Batch {
        let number = self.newest().await.number + 1;
        self.send().await;
        self.proxy.next(&[fault]);
        destinations::stream_now(&self.house.engine, &self.house.admin, "siem")
            .await
            .unwrap();
        for _ in 0..800 {
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
                let signed_for = self.proxy.told.lock().unwrap().regions.last().unwrap().clone();
                assert!(
                    met.remark.unwrap().contains(&signed_for) && signed_for.starts_with("eu-west-"),
                    "{what}"
                );
            }
            Fault::OtherBytes => {
                let path = self.store.path(BUCKET, &met.key);
                assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody else's", "{what}");
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
        let mut told = self.proxy.told.lock().unwrap();
        (told.region, told.ignores_condition) = (None, false);
        told.denied.clear();
    }

    fn in_order(&self, what: &str) {
        let sequences = self.store.sequences(BUCKET);
        assert!(dense(&sequences), "{what}: {sequences:?}");
        assert!(sequences.is_sorted(), "{what}: {sequences:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_alone_is_shown_as_what_it_is_and_survived() {
    let mut scene = Scene::open().await;
    for row in TABLE {
        scene.suffer(row.0, "alone").await;
        scene.in_order(&format!("{:?}", row.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_moves_on_is_named_with_its_region() {
    let mut scene = Scene::open().await;
    scene.proxy.next(&[Fault::WrongSignatureRegion]);
    let met = scene.meet(Fault::MovedAsk).await;
    let failure = met.error.unwrap();
    let region = scene.proxy.told.lock().unwrap().region.clone().unwrap();
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
        // Several in a row on one batch; nobody looks until all is over.
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
