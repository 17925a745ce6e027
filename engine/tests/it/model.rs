//! Rules 2 to 12 under random programs: actions of admins, clients, networks and power cuts in any
//! order, compared with a model that fits on a page. Every acknowledged event lands once in each
//! life of the destination that is entitled to it, in order and without gaps.
//!
//! A program follows from its seed. `AUDITSTREAM_SEED` is the first seed,
//! `AUDITSTREAM_MODEL_PROGRAMS` the number of programs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auditstream_engine::Precondition;
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Actor, Background, Config, Engine, connectors, destinations};
use auditstream_model::{Backoff, IngestOutcome, ListQuery, Status};
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::child::say;
use crate::support::{House, On, connector, destination, events};
use auditstream_testkit::s3::{BUCKET, Store, lines};
use auditstream_testkit::s3::{NetworkFault as Fault, Proxy};

#[derive(Clone, Debug)]
enum Step {
    /// Sends this many new events in one request.
    Ingest(u8),
    /// Sends the newest event again.
    Again,
    Active(bool),
    /// Sets the right bucket name, or a mistyped one.
    Bucket(bool),
    Prefix(u8),
    StreamNow,
    /// Queues a fault for a later PUT.
    Next(Fault),
    /// Kills the server after this many ms and starts it again.
    Crash(u8),
    /// Moves the cursor to this percentage of the trail.
    Cursor(u8),
    /// Starts a second server, or kills it (PostgreSQL).
    Other(bool),
    /// Repairs everything and checks the bucket.
    Settle,
}

const FAULTS: &[Fault] = &[
    Fault::ServerError,
    Fault::SlowDown,
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::LostAnswer,
    Fault::Denied,
    Fault::NoBucket,
    Fault::ErrorIn200,
    Fault::Conflict,
    Fault::SameBytes,
    Fault::NotModified,
    Fault::OtherBytes,
    Fault::LostAndUnreadable,
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u8..6).prop_map(Step::Ingest),
        1 => Just(Step::Again),
        2 => prop::bool::weighted(0.7).prop_map(Step::Active),
        1 => prop::bool::weighted(0.6).prop_map(Step::Bucket),
        1 => (0_u8..3).prop_map(Step::Prefix),
        3 => Just(Step::StreamNow),
        4 => proptest::sample::select(FAULTS).prop_map(Step::Next),
        2 => (0_u8..30).prop_map(Step::Crash),
        1 => (0_u8..=100).prop_map(Step::Cursor),
        1 => any::<bool>().prop_map(Step::Other),
        1 => Just(Step::Settle),
    ]
}

/// Most destinations are active early.
fn program() -> impl Strategy<Value = Vec<Step>> {
    (prop::bool::weighted(0.8), prop::collection::vec(step(), 1..30)).prop_map(|(active, mut steps)| {
        if active {
            steps.insert(0, Step::Active(true));
        }
        steps
    })
}

/// A server on separate threads, which can end between any two steps of its tasks.
struct Server {
    runtime: Option<Runtime>,
    engine: Engine,
    _background: Background,
}

impl Server {
    async fn start(config: &Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = config.clone();
        let opened = runtime.spawn(async move {
            let engine = Engine::open(config).await.unwrap();
            let background = engine.start();
            (engine, background)
        });
        let (engine, background) = opened.await.unwrap();
        Self {
            runtime: Some(runtime),
            engine,
            _background: background,
        }
    }

    /// Runs a future with its engine, on its threads.
    async fn call<T, F>(&self, what: impl FnOnce(Engine) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let engine = self.engine.clone();
        let task = self.runtime.as_ref().unwrap().spawn(async move { what(engine).await });
        task.await.unwrap()
    }
}

impl Server {
    /// Ends it without notifying the database or the store.
    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// The time from one setting of the cursor to the next.
#[derive(Debug)]
struct Life {
    /// The cursor at its start.
    start: i64,
    /// The number of the last batch before it.
    after: i64,
    /// The cursor at its end.
    end: Option<i64>,
}

struct Scene {
    store: Store,
    proxy: Proxy,
    house: House,
    server: Server,
    other: Option<Server>,
    bucket: bool,
    prefix: u8,
    active: bool,
    sent: usize,
    /// The acknowledged ids, by sequence.
    acknowledged: BTreeMap<i64, String>,
    lives: Vec<Life>,
    prefixes_changed: bool,
}

fn event(number: usize) -> serde_json::Value {
    let known = events();
    let mut event = known[number % known.len()].clone();
    event["auditEventId"] = format!("model {number}").into();
    event
}

impl Scene {
    async fn open(on: On) -> Self {
        let store = Store::start().await;
        let proxy = Proxy::start(&store).await;
        let mut house = House::open(on).await;
        house.stop_streaming().await;
        let mut input = connector(&proxy.endpoint);
        input.spec.backoff = Backoff::FixedDelay {
            fixed_backoff: 1,
            retry_count: 1,
        };
        connectors::create(&house.engine, &house.admin, input).await.unwrap();
        house.destination(BUCKET, json!({})).await;
        house.stop().await;
        let server = Server::start(&house.config).await;
        Self {
            store,
            proxy,
            house,
            server,
            other: None,
            bucket: true,
            prefix: 0,
            active: false,
            sent: 0,
            acknowledged: BTreeMap::new(),
            lives: Vec::new(),
            prefixes_changed: false,
        }
    }

    async fn admin<T, F>(&self, what: impl FnOnce(Engine, Actor) -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let admin = self.house.admin.clone();
        self.server.call(move |engine| what(engine, admin)).await
    }

    async fn send(&self, events: Vec<serde_json::Value>) -> IngestOutcome {
        let actor = self.house.ingester.clone();
        self.server
            .call(move |engine| async move {
                let body = serde_json::to_vec(&events).unwrap();
                ingest(&engine, &actor, BodyFormat::Json, body.into()).await.unwrap()
            })
            .await
    }

    async fn do_step(&mut self, step: &Step) {
        match *step {
            Step::Ingest(count) => {
                let numbers = self.sent..self.sent + usize::from(count);
                self.sent = numbers.end;
                let outcome = self.send(numbers.clone().map(event).collect()).await;
                assert_eq!((outcome.accepted, outcome.duplicates), (u32::from(count), 0));
                let sequences = outcome.first_sequence.unwrap()..=outcome.last_sequence.unwrap();
                assert_eq!(sequences.clone().count(), usize::from(count));
                self.acknowledged
                    .extend(sequences.zip(numbers.map(|number| format!("model {number}"))));
            }
            Step::Again if self.sent > 0 => {
                let outcome = self.send(vec![event(self.sent - 1)]).await;
                assert_eq!((outcome.accepted, outcome.duplicates), (0, 1));
            }
            Step::Again => {}
            Step::Active(wanted) => self.toggle(wanted).await,
            Step::Bucket(right) => {
                self.bucket = right;
                self.edit().await;
            }
            Step::Prefix(prefix) => {
                self.prefixes_changed |= self.prefix != prefix;
                self.prefix = prefix;
                self.edit().await;
            }
            Step::StreamNow if self.active => self.stream_now().await,
            Step::StreamNow => {}
            Step::Next(fault) => self.proxy.next(&[fault]),
            Step::Crash(after) => {
                tokio::time::sleep(Duration::from_millis(after.into())).await;
                let config = self.house.config.clone();
                // A SQLite file has one server.
                self.server.end();
                self.server = Server::start(&config).await;
            }
            Step::Cursor(percent) => self.move_cursor(percent).await,
            Step::Other(wanted) if self.house.on == On::Postgres => {
                self.other = None;
                if wanted {
                    self.other = Some(Server::start(&self.house.config).await);
                }
            }
            Step::Other(_) => {}
            Step::Settle => self.settle().await,
        }
    }

    async fn toggle(&mut self, wanted: bool) {
        let status = if wanted { Status::Active } else { Status::Inactive };
        self.admin(move |engine, admin| async move {
            destinations::set_status(&engine, &admin, "siem", status).await.unwrap();
        })
        .await;
        self.active = wanted;
        if wanted && self.lives.is_empty() {
            self.lives.push(Life {
                start: 0,
                after: 0,
                end: None,
            });
        }
    }

    async fn edit(&self) {
        let bucket = if self.bucket { BUCKET } else { "mistyped" };
        let prefix = if self.prefix == 0 {
            String::new()
        } else {
            format!("p{}/", self.prefix)
        };
        let mut input = destination(bucket, json!({"prefix": prefix}));
        input.status = Some(if self.active { Status::Active } else { Status::Inactive });
        self.admin(move |engine, admin| async move {
            destinations::replace(&engine, &admin, "siem", input, &Precondition::None)
                .await
                .unwrap();
        })
        .await;
    }

    async fn stream_now(&self) {
        self.admin(|engine, admin| async move {
            destinations::stream_now(&engine, &admin, "siem").await.unwrap();
        })
        .await;
    }

    async fn number(&self, query: &'static str) -> i64 {
        let mut connection = self.house.connection().await;
        sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
    }

    /// Before the first activation there is no cursor.
    async fn move_cursor(&mut self, percent: u8) {
        if self.lives.is_empty() {
            return;
        }
        self.toggle(false).await;
        let cursor = self.number("SELECT cursor FROM streaming_destination").await;
        let after = self.number("SELECT last_batch FROM streaming_destination").await;
        let last = self.number("SELECT last_sequence FROM account").await;
        let start = last * i64::from(percent) / 100;
        self.admin(move |engine, admin| async move {
            destinations::move_cursor(&engine, &admin, "siem", start, &Precondition::None)
                .await
                .unwrap();
        })
        .await;
        self.lives.last_mut().unwrap().end = Some(cursor);
        self.lives.push(Life {
            start,
            after,
            end: None,
        });
    }

    /// Repairs everything, waits until all is delivered, and compares with the model.
    async fn settle(&mut self) {
        // The faults still queued are met on the way.
        self.proxy.state.lock().unwrap().denied.clear();
        self.bucket = true;
        self.edit().await;
        self.toggle(true).await;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let (item, batches) = self
                .admin(|engine, admin| async move {
                    let query = ListQuery::default();
                    let mut list = destinations::aggregate(&engine, &admin, &query).await.unwrap();
                    let batches = destinations::batches(&engine, &admin, "siem", &query).await.unwrap();
                    (list.items.remove(0).streaming_details, batches.items)
                })
                .await;
            if item.behind == Some(0) && item.failure.is_none() {
                break;
            }
            assert!(Instant::now() < until, "it does not catch up: {item:?} {batches:#?}");
            // A failure outlives a batch that was skipped, until the next run.
            if item.failure.is_some_and(|failure| failure.blocked)
                && let Some(number) = batches.first().map(|batch| batch.number)
            {
                self.admin(move |engine, admin| async move {
                    // Refused while a run is in progress, which blocks again in a moment.
                    let _ = destinations::rename_batch(&engine, &admin, "siem", number).await;
                })
                .await;
            }
            self.stream_now().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.check().await;
    }

    /// The objects and the batches, for the message of a failure.
    async fn found(&self) -> String {
        let keys = self.store.objects(BUCKET).into_iter();
        let keys: Vec<_> = keys.map(|(key, bytes)| format!("{key} {}", bytes.len())).collect();
        let mut connection = self.house.connection().await;
        let batches: Vec<(i64, String, String)> =
            sqlx::query_as("SELECT number, status, key FROM streaming_batch ORDER BY number")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        format!("{keys:#?} {batches:#?} {:#?}", self.acknowledged)
    }

    async fn check(&self) {
        let trail = self.number("SELECT last_sequence FROM account").await;
        let found = self.found().await;
        let mut batches: BTreeMap<i64, Vec<serde_json::Value>> = BTreeMap::new();
        for (key, bytes) in self.store.objects(BUCKET) {
            if bytes == b"another writer's" {
                continue;
            }
            let name = key.rsplit('/').next().unwrap();
            let number: i64 = name[..12].parse().unwrap();
            let content = lines(&key, &bytes);
            if let Some(known) = batches.get(&number) {
                assert!(self.prefixes_changed, "batch {number} is there twice: {key}");
                assert_eq!(*known, content, "batch {number} has two contents");
            }
            batches.insert(number, content);
        }
        for (index, life) in self.lives.iter().enumerate() {
            let next = self.lives.get(index + 1);
            let until = next.map_or(i64::MAX, |next| next.after);
            let its = batches
                .iter()
                .filter(|(number, _)| (life.after + 1..=until).contains(number));
            let mut expected = life.start;
            for event in its.flat_map(|(_, events)| events) {
                expected += 1;
                assert_eq!(event["auditEventMetadata"]["sequence"], expected, "{life:?} {found}");
                if let Some(id) = self.acknowledged.get(&expected) {
                    assert_eq!(event["auditEventId"], *id.as_str(), "{life:?}");
                }
            }
            // An object of an ended life may exist although its response was lost.
            assert!(
                expected >= life.end.unwrap_or(trail),
                "{life:?} ends at {expected} of {trail}"
            );
        }
        assert!(self.acknowledged.keys().all(|sequence| *sequence <= trail));
    }
}

/// Runs a program from an empty database to the final check of the bucket.
fn run(on: On, program: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let found = [Fault::OtherBytes, Fault::SameBytes, Fault::NotModified];
    let found = program
        .iter()
        .any(|step| matches!(step, Step::Next(fault) if found.contains(fault)));
    runtime.block_on(async {
        let mut scene = Scene::open(on).await;
        for step in program {
            // The owner of an unreadable object is unknown.
            let blind = matches!(step, Step::Next(Fault::LostAndUnreadable));
            if !(blind && found) {
                scene.do_step(step).await;
            }
        }
        scene.settle().await;
    });
    runtime.shutdown_background();
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn programs(on: On, count: u64, at_once: usize) {
    let first = number("AUDITSTREAM_SEED", 20_261_124);
    let (next, began) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        let worker = || {
            loop {
                let seed = first + next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return Ok(());
                }
                let mut bytes = [0; 32];
                bytes[..8].copy_from_slice(&seed.to_le_bytes());
                let config = Runs {
                    cases: 1,
                    failure_persistence: None,
                    max_shrink_iters: 200,
                    ..Runs::default()
                };
                let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
                let outcome = runner.run(&program(), |program| {
                    run(on, &program);
                    Ok(())
                });
                outcome.map_err(|error| format!("seed {seed} on {on:?}: {error}"))?;
            }
        };
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(worker)).collect();
        let wrong: Vec<String> = workers
            .into_iter()
            .filter_map(|worker| worker.join().unwrap().err())
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
    say(&format!(
        "{count} programs from seed {first} on {on:?} in {:?}",
        began.elapsed()
    ));
}

#[test]
fn in_any_program_every_event_lands_once_in_order_on_sqlite() {
    programs(On::Sqlite, number("AUDITSTREAM_MODEL_PROGRAMS", 200), 4);
}

#[test]
fn in_any_program_every_event_lands_once_in_order_on_postgres() {
    programs(On::Postgres, number("AUDITSTREAM_MODEL_PROGRAMS", 200).div_ceil(8), 8);
}
