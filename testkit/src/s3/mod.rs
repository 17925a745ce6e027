//! An S3 stand-in: s3s-fs behind an HTTP server that misbehaves on request.
//!
//! [`Store`] misbehaves in its responses ([`Fault`]). A [`Proxy`] in front of it breaks connections
//! and forges the errors of real stores ([`NetworkFault`]).

mod keys;
mod objects;
mod proxy;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::wait;

pub use keys::{ACCESS_KEY, Key, Keys, SECRET};
pub use objects::lines;
pub use proxy::{NetworkFault, Proxy, ProxyState};

/// The bucket that a new store has.
pub const BUCKET: &str = "audit-logs";

/// The behaviour of the store at one PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Stores the object and responds with 200.
    Pass,
    /// Responds with 500 and stores nothing.
    Refuse,
    /// Stores the object and responds with 500.
    LoseAnswer,
    /// Responds with 403 and stores nothing.
    Deny,
    /// Waits for a permit of [`Store::release`], then stores the object and answers 200.
    Hold,
    /// Stores the object, waits for a permit of [`Store::release`], then responds with 200.
    HoldAnswer,
    /// Waits for a permit of [`Store::release`], then responds with 403 and stores nothing.
    HoldRefusal,
}

/// A store on loopback that ends with the test.
pub struct Store {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// The keys that the store accepts.
    pub keys: Keys,
    /// The number of PUTs that have arrived.
    pub puts: Arc<AtomicUsize>,
    /// The number of PUTs that the store has carried out, whether they were answered or not.
    pub stored: Arc<AtomicUsize>,
    /// One permit lets one waiting PUT continue.
    pub release: Arc<Semaphore>,
    /// While `true`, objects are stored and no PUT is answered.
    pub silent: watch::Sender<bool>,
    root: PathBuf,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Removed with the store.
    _folder: Option<TempDir>,
}

impl Store {
    /// Starts a store with the bucket [`BUCKET`], in a folder that is removed with it.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Self::start_in(folder.path(), BUCKET).await;
        store._folder = Some(folder);
        store
    }

    /// Starts a store with one bucket, whose objects stay in `folder` after it has ended.
    pub async fn start_in(folder: &Path, bucket: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (silent, silence) = watch::channel(false);
        let store = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            keys: keys::initial(),
            puts: Arc::default(),
            stored: Arc::default(),
            release: Arc::new(Semaphore::new(0)),
            silent,
            root: folder.join("s3"),
            faults: Arc::default(),
            _folder: None,
        };
        std::fs::create_dir_all(store.root.join(bucket)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&store.root).unwrap());
        builder.set_auth(keys::KeyRing(Arc::clone(&store.keys)));
        let handler = Handler {
            service: builder.build(),
            buckets: store.root.clone(),
            puts: Arc::clone(&store.puts),
            stored: Arc::clone(&store.stored),
            faults: Arc::clone(&store.faults),
            release: Arc::clone(&store.release),
            silence,
        };
        tokio::spawn(handler.serve(listener));
        store
    }

    /// Queues the faults that the next PUTs meet.
    pub fn next(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Waits until `puts` PUTs have arrived.
    pub async fn reached(&self, puts: usize) {
        wait::until("a PUT arrives", async || self.puts.load(Ordering::SeqCst) >= puts).await;
    }
}

#[derive(Clone)]
struct Handler {
    service: S3Service,
    buckets: PathBuf,
    puts: Arc<AtomicUsize>,
    stored: Arc<AtomicUsize>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    release: Arc<Semaphore>,
    silence: watch::Receiver<bool>,
}

impl Handler {
    async fn serve(self, listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            let handler = self.clone();
            let service = tower::service_fn(move |request| handler.clone().handle(request));
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
                // A client that hangs up is part of many tests.
                drop(connection.await);
            });
        }
    }

    async fn handle(mut self, request: Request<Incoming>) -> Result<Response<s3s::Body>, s3s::HttpError> {
        if request.method() != Method::PUT {
            return self.service.call(request.map(s3s::Body::from)).await;
        }
        self.puts.fetch_add(1, Ordering::SeqCst);
        let fault = self.faults.lock().unwrap().pop_front().unwrap_or(Fault::Pass);
        // s3s-fs would create the bucket, which S3 does not.
        let bucket = request.uri().path().split('/').nth(1).unwrap_or_default();
        if !self.buckets.join(bucket).is_dir() {
            return Ok(refusal(404, "NoSuchBucket"));
        }
        if matches!(fault, Fault::Hold | Fault::HoldRefusal) {
            self.release.acquire().await.unwrap().forget();
        }
        match fault {
            Fault::Refuse => return Ok(refusal(500, "InternalError")),
            Fault::Deny | Fault::HoldRefusal => return Ok(refusal(403, "AccessDenied")),
            Fault::Pass | Fault::LoseAnswer | Fault::Hold | Fault::HoldAnswer => {}
        }
        let response = self.service.call(request.map(s3s::Body::from)).await;
        self.stored.fetch_add(1, Ordering::SeqCst);
        if fault == Fault::HoldAnswer {
            self.release.acquire().await.unwrap().forget();
        }
        // Fails when the test has ended.
        drop(self.silence.wait_for(|silent| !silent).await);
        if fault == Fault::LoseAnswer {
            return Ok(refusal(500, "InternalError"));
        }
        response
    }
}

fn refusal(status: u16, code: &str) -> Response<s3s::Body> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    Response::builder()
        .status(status)
        .body(s3s::Body::from(Bytes::from(body)))
        .unwrap()
}
