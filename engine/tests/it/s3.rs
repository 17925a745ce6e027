//! An S3-compatible store that does as it is told.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey};
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;

pub const SECRET: &str = "canary-secret-1f0c9a";
pub const BUCKET: &str = "audit-logs";

/// What the store does with a PUT instead of answering it well.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Nothing: answers it well.
    Pass,
    /// Answers 500 and stores nothing.
    Refuse,
    /// Stores the object, and answers 500.
    LoseAnswer,
    /// Answers 403.
    Deny,
    /// Answers after the test has said so.
    Hold,
    /// Stores the object, and answers after the test has said so.
    HoldAnswer,
    /// Answers 403 after the test has said so, and stores nothing.
    HoldRefusal,
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
                            Some(Fault::HoldRefusal) => {
                                release.acquire().await.unwrap().forget();
                                return Ok(error(403, "AccessDenied"));
                            }
                            Some(Fault::Pass | Fault::LoseAnswer | Fault::HoldAnswer) | None => {}
                        }
                        let answer = service.call(request.map(s3s::Body::from)).await;
                        if matches!(fault, Some(Fault::HoldAnswer)) {
                            release.acquire().await.unwrap().forget();
                        }
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

    /// Waits until so many PUTs have reached it.
    pub async fn reached(&self, puts: usize) {
        while self.puts.load(Ordering::SeqCst) < puts {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
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

    /// Every event in a bucket, in the order of keys and lines; `.gz` and plain.
    pub fn events(&self, bucket: &str) -> Vec<serde_json::Value> {
        let mut events = Vec::new();
        for (key, bytes) in self.objects(bucket) {
            events.extend(lines(&key, &bytes));
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

/// The events of an object, `.gz` or plain.
pub fn lines(key: &str, object: &[u8]) -> Vec<serde_json::Value> {
    let text = if key.ends_with(".gz") {
        std::io::read_to_string(flate2::read::GzDecoder::new(object)).unwrap()
    } else {
        String::from_utf8(object.to_vec()).unwrap()
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
