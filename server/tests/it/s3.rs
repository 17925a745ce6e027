//! An S3-compatible store on loopback whose objects are files, and which can keep its answers back.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) const ACCESS_KEY: &str = "AKIATEST";
pub(crate) const SECRET_KEY: &str = "hush-hush-secret";

pub(crate) struct Store {
    pub(crate) endpoint: String,
    /// The folder whose folders are buckets; `logs` is there.
    pub(crate) root: PathBuf,
    /// While set, an object that was written is not answered for.
    pub(crate) silent: watch::Sender<bool>,
}

impl Store {
    pub(crate) async fn start(folder: &Path) -> Self {
        let root = folder.join("s3");
        std::fs::create_dir_all(root.join("logs")).unwrap();
        let mut builder = s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(&root).unwrap());
        builder.set_auth(s3s::auth::SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (silent, told) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (service, told) = (service.clone(), told.clone());
                let answer = tower::service_fn(move |request: http::Request<_>| {
                    let (service, mut told) = (service.clone(), told.clone());
                    async move {
                        let writes = request.method() == http::Method::PUT;
                        let answer = service.call(request.map(s3s::Body::from)).await;
                        if writes {
                            // Fails when the test is over.
                            drop(told.wait_for(|silent| !silent).await);
                        }
                        answer
                    }
                });
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    drop(
                        builder
                            .serve_connection(TokioIo::new(connection), TowerToHyperService::new(answer))
                            .await,
                    );
                });
            }
        });
        Self { endpoint, root, silent }
    }

    /// The objects of the bucket `logs` by key, decompressed.
    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.join("logs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "gz") {
                    let mut text = String::new();
                    flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap())
                        .read_to_string(&mut text)
                        .unwrap();
                    found.insert(path.to_str().unwrap().to_owned(), text);
                }
            }
        }
        found
    }

    /// The sequences of every event in the bucket, in the order of the keys.
    pub(crate) fn sequences(&self) -> Vec<i64> {
        let objects = self.objects();
        let lines = objects.values().flat_map(|text| text.lines());
        lines
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["auditEventMetadata"]["sequence"]
                    .as_i64()
                    .unwrap()
            })
            .collect()
    }
}
