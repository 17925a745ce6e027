//! An S3-compatible store on loopback.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tower::Service;

use super::{keep, kept, kept_secret};
use crate::cli::fatal::Fatal;

/// The bucket that is there from the start: a folder of this name.
pub const BUCKET: &str = "audit-logs";
/// The access key of the connector.
pub const ACCESS_KEY: &str = "auditstream-demo";

/// The store, bound but not yet serving.
pub struct Store {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// The secret of the access key.
    pub secret: String,
    /// The folder whose folders are buckets.
    pub objects: PathBuf,
    listener: TcpListener,
    service: S3Service,
}

impl Store {
    /// Binds the port that was used before, if it is still free.
    ///
    /// # Errors
    /// When the folder cannot be made or no port is free.
    pub async fn open(folder: &Path) -> Result<Self, Fatal> {
        let refuse = |error: &dyn std::fmt::Display| Fatal::new(format!("cannot start the demo's store: {error}"));
        let objects = folder.join("store");
        std::fs::create_dir_all(objects.join(BUCKET)).map_err(|error| refuse(&error))?;
        let secret = kept_secret(&folder.join("store.secret"))?;
        let listener = listen(&folder.join("store.port")).await?;
        let address = listener.local_addr().map_err(|error| refuse(&error))?;
        let files = s3s_fs::FileSystem::new(&objects).map_err(|error| refuse(&format!("{error:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, secret.as_str()));
        Ok(Self {
            endpoint: format!("http://{address}"),
            secret,
            objects,
            listener,
            service: builder.build(),
        })
    }

    /// What answers a request. The store behind would make a bucket of any name, which S3 does not.
    fn answers(
        &self,
    ) -> impl Service<Request<Incoming>, Response = Response<s3s::Body>, Error = s3s::HttpError, Future: Send>
    + Clone
    + Send
    + 'static {
        let (service, objects) = (self.service.clone(), self.objects.clone());
        tower::service_fn(move |request: Request<Incoming>| {
            let (service, objects) = (service.clone(), objects.clone());
            async move {
                let bucket = request.uri().path().split('/').nth(1).unwrap_or_default();
                if !bucket.is_empty() && !objects.join(bucket).is_dir() {
                    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchBucket</Code>\
                                <Message>The specified bucket does not exist</Message></Error>";
                    let mut response = Response::new(s3s::Body::from(Bytes::from_static(body.as_bytes())));
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    return Ok(response);
                }
                service.call(request.map(s3s::Body::from)).await
            }
        })
    }

    /// Serves until the task is aborted.
    pub async fn serve(self) {
        loop {
            let Ok((connection, _)) = self.listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let answer = self.answers();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let service = hyper_util::service::TowerToHyperService::new(answer);
                if let Err(error) = builder.serve_connection(TokioIo::new(connection), service).await {
                    tracing::debug!(%error, "a connection to the demo's store ended");
                }
            });
        }
    }
}

async fn listen(kept_in: &Path) -> Result<TcpListener, Fatal> {
    let before = kept(kept_in)?.and_then(|port| port.parse::<u16>().ok());
    if let Some(port) = before
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    let refuse = |error| Fatal::new(format!("cannot start the demo's store: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(refuse)?;
    let port = listener.local_addr().map_err(refuse)?.port();
    keep(kept_in, &port.to_string())?;
    Ok(listener)
}
