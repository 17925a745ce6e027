//! A whole engine in a folder of its own, and a store that does as it is told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{Actor, AwsSettings, Background, Config, Engine, MasterKey, access, connectors, destinations};
use auditstream_model::{
    AccountName, Backoff, Batch, BatchStatus, ConnectorInput, DestinationInput, IngestOutcome, ListQuery, Scope, Status,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;

pub const SECRET: &str = "canary-secret-1f0c9a";
pub const BUCKET: &str = "audit-logs";
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// What the store does with a PUT instead of answering it well.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Answers 500 and stores nothing.
    Refuse,
    /// Stores the object, and answers 500.
    LoseAnswer,
    /// Answers 403.
    Deny,
    /// Answers after the test has said so.
    Hold,
}

/// An access key that STS and the store know.
#[derive(Clone, Debug)]
pub struct Key {
    pub secret: String,
    /// The session token that goes with it.
    pub token: Option<String>,
    pub expires: Option<SystemTime>,
    pub arn: String,
}

/// All keys, by access key.
pub type Keys = Arc<Mutex<HashMap<String, Key>>>;

struct KeyRing(Keys);

#[async_trait::async_trait]
impl S3Auth for KeyRing {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let keys = self.0.lock().unwrap();
        let key = keys.get(access_key).ok_or_else(|| s3s::s3_error!(InvalidAccessKeyId))?;
        if key.expires.is_some_and(|expires| expires < SystemTime::now()) {
            return Err(s3s::s3_error!(ExpiredToken));
        }
        Ok(key.secret.as_str().into())
    }
}

pub struct Store {
    pub endpoint: String,
    pub keys: Keys,
    root: TempDir,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    pub puts: Arc<AtomicUsize>,
    pub release: Arc<tokio::sync::Semaphore>,
}

impl Store {
    pub async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        let key = Key {
            secret: SECRET.into(),
            token: None,
            expires: None,
            arn: "arn:aws:iam::123456789012:user/audit".into(),
        };
        let keys = Keys::default();
        keys.lock().unwrap().insert("AKIATEST".into(), key);
        builder.set_auth(KeyRing(Arc::clone(&keys)));
        let service = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let store = Self {
            endpoint,
            keys,
            root,
            faults: Arc::default(),
            puts: Arc::default(),
            release: Arc::new(tokio::sync::Semaphore::new(0)),
        };
        let (faults, puts, release) = (
            Arc::clone(&store.faults),
            Arc::clone(&store.puts),
            Arc::clone(&store.release),
        );
        let buckets = store.root.path().to_owned();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, faults, puts, release) = (
                    service.clone(),
                    Arc::clone(&faults),
                    Arc::clone(&puts),
                    Arc::clone(&release),
                );
                let buckets = buckets.clone();
                let answer = tower::service_fn(move |request: http::Request<_>| {
                    let (service, release) = (service.clone(), Arc::clone(&release));
                    let is_put = request.method() == http::Method::PUT;
                    // The store behind would make a bucket of any name.
                    let bucket = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
                    let no_bucket = is_put && !buckets.join(bucket).is_dir();
                    let fault = if is_put {
                        puts.fetch_add(1, Ordering::SeqCst);
                        faults.lock().unwrap().pop_front()
                    } else {
                        None
                    };
                    async move {
                        let error = |status: u16, code: &str| {
                            let body = format!(
                                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>"
                            );
                            http::Response::builder()
                                .status(status)
                                .body(s3s::Body::from(bytes::Bytes::from(body)))
                                .unwrap()
                        };
                        if no_bucket {
                            return Ok(error(404, "NoSuchBucket"));
                        }
                        match fault {
                            Some(Fault::Refuse) => return Ok(error(500, "InternalError")),
                            Some(Fault::Deny) => return Ok(error(403, "AccessDenied")),
                            Some(Fault::Hold) => release.acquire().await.unwrap().forget(),
                            Some(Fault::LoseAnswer) | None => {}
                        }
                        let answer = service.call(request.map(s3s::Body::from)).await;
                        if matches!(fault, Some(Fault::LoseAnswer)) {
                            Ok(error(500, "InternalError"))
                        } else {
                            answer
                        }
                    }
                });
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(answer))
                        .await;
                });
            }
        });
        store
    }

    pub fn next(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Keys and bytes of a bucket's objects.
    pub fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let base = self.root.path().join(bucket);
        let mut found = BTreeMap::new();
        walk(&base, &mut |path| {
            let key = path.strip_prefix(&base).unwrap().to_string_lossy().into_owned();
            found.insert(key, std::fs::read(path).unwrap());
        });
        found
    }

    pub fn path(&self, bucket: &str, key: &str) -> PathBuf {
        self.root.path().join(bucket).join(key)
    }

    /// Loses what the store keeps of its objects beside their bytes.
    pub fn forget_metadata(&self) {
        for entry in std::fs::read_dir(self.root.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }

    /// Every event in a bucket, in the order of keys and lines; `.gz` and plain.
    pub fn events(&self, bucket: &str) -> Vec<serde_json::Value> {
        let mut events = Vec::new();
        for (key, bytes) in self.objects(bucket) {
            let mut text = String::new();
            if key.ends_with(".gz") {
                flate2::read::GzDecoder::new(bytes.as_slice())
                    .read_to_string(&mut text)
                    .unwrap();
            } else {
                text = String::from_utf8(bytes).unwrap();
            }
            events.extend(
                text.lines()
                    .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()),
            );
        }
        events
    }

    pub fn sequences(&self, bucket: &str) -> Vec<i64> {
        self.events(bucket)
            .iter()
            .map(|event| event["auditEventMetadata"]["sequence"].as_i64().unwrap())
            .collect()
    }
}

/// Whether sequences are 1, 2, 3 … each once.
pub fn dense(sequences: &[i64]) -> bool {
    let mut sorted = sequences.to_vec();
    sorted.sort_unstable();
    sorted.first() == Some(&1) && sorted.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

pub struct House {
    pub folder: TempDir,
    pub engine: Engine,
    pub admin: Actor,
    pub ingester: Actor,
    background: Option<Background>,
}

pub fn config(folder: &Path) -> Config {
    Config {
        database: folder.join("auditstream.db"),
        master_key: MasterKey::from_base64(KEY).unwrap(),
        streaming_enabled: true,
        stream_interval: Duration::from_secs(3600),
        aws: AwsSettings::default(),
    }
}

impl House {
    pub async fn open() -> Self {
        Self::open_with(AwsSettings::default()).await
    }

    pub async fn open_with(aws: AwsSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::open(Config {
            aws,
            ..config(folder.path())
        })
        .await
        .unwrap();
        let admin = Actor::command_line(&engine, &AccountName::default_account())
            .await
            .unwrap();
        let token = access::create_token(&engine, &admin, "tests", &[Scope::Ingest])
            .await
            .unwrap();
        let ingester = access::token(&engine, &token).await.unwrap().unwrap();
        let background = Some(engine.start());
        Self {
            folder,
            engine,
            admin,
            ingester,
            background,
        }
    }

    /// Stops everything and opens the same database again, as a restart does.
    pub async fn restart(self) -> Self {
        self.restart_with(AwsSettings::default()).await
    }

    pub async fn restart_with(mut self, aws: AwsSettings) -> Self {
        self.background.take().unwrap().stop().await;
        self.engine.close().await;
        let config = Config {
            aws,
            ..config(self.folder.path())
        };
        self.engine = Engine::open(config).await.unwrap();
        self.background = Some(self.engine.start());
        self
    }

    pub async fn send(&self, events: &[serde_json::Value]) -> IngestOutcome {
        let body = serde_json::to_vec(events).unwrap();
        ingest(&self.engine, &self.ingester, BodyFormat::Json, body.into())
            .await
            .unwrap()
    }

    pub async fn connect(&self, store: &Store) {
        let input = connector(&store.endpoint);
        connectors::create(&self.engine, &self.admin, input).await.unwrap();
    }

    pub async fn destination(&self, bucket: &str, spec: serde_json::Value) {
        destinations::create(&self.engine, &self.admin, destination(bucket, spec))
            .await
            .unwrap();
    }

    /// What was streamed, newest first.
    pub async fn batches(&self) -> Vec<Batch> {
        destinations::batches(&self.engine, &self.admin, "siem", &ListQuery::default())
            .await
            .unwrap()
            .items
    }

    pub async fn toggle(&self, status: Status) {
        destinations::set_status(&self.engine, &self.admin, "siem", status)
            .await
            .unwrap();
    }

    /// Waits until the destination is as wanted.
    pub async fn settled(
        &self,
        enough: impl Fn(&auditstream_model::AggregateItem) -> bool,
    ) -> auditstream_model::AggregateItem {
        self.settled_by(enough, false).await
    }

    async fn settled_by(
        &self,
        enough: impl Fn(&auditstream_model::AggregateItem) -> bool,
        run: bool,
    ) -> auditstream_model::AggregateItem {
        for _ in 0..600 {
            if run {
                destinations::stream_now(&self.engine, &self.admin, "siem")
                    .await
                    .unwrap();
            }
            let list = destinations::aggregate(&self.engine, &self.admin, &ListQuery::default())
                .await
                .unwrap();
            let item = list
                .items
                .into_iter()
                .find(|item| item.streaming_destination.identifier.as_str() == "siem")
                .unwrap();
            if enough(&item) {
                return item;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let batches = destinations::batches(&self.engine, &self.admin, "siem", &ListQuery::default())
            .await
            .unwrap();
        panic!("the destination did not settle: {batches:#?}");
    }

    /// Runs until nothing is behind and nothing fails: a recovery's own event takes one more run.
    pub async fn streamed(&self) {
        let done = |item: &auditstream_model::AggregateItem| {
            item.streaming_details.behind == Some(0) && item.streaming_details.failure.is_none()
        };
        self.settled_by(done, true).await;
        let batches = destinations::batches(&self.engine, &self.admin, "siem", &ListQuery::default())
            .await
            .unwrap();
        assert!(batches.items.iter().all(|batch| batch.status == BatchStatus::Success));
    }
}

pub fn connector(endpoint: &str) -> ConnectorInput {
    let json = serde_json::json!({
        "identifier": "aws", "name": "AWS", "spec": {
            "type": "AWS", "endpoint": endpoint, "path_style": true,
            "credentials": {"type": "MANUAL", "access_key": "AKIATEST", "secret_key": SECRET},
            "backoff": Backoff::FixedDelay { fixed_backoff: 20, retry_count: 3 },
        }
    });
    serde_json::from_value(json).unwrap()
}

pub fn destination(bucket: &str, spec: serde_json::Value) -> DestinationInput {
    let mut whole = serde_json::json!({"type": "AWS_S3", "bucket": bucket, "start_at": "oldest"});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(
        serde_json::json!({"identifier": "siem", "name": "SIEM", "connector_ref": "aws", "spec": whole}),
    )
    .unwrap()
}

/// Real events of the project's own copy.
pub fn events() -> Vec<serde_json::Value> {
    include_str!("events.ndjson")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
