//! The demo's S3-compatible store on loopback.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tower::Service;

use super::files::{read_if_present, read_or_create_secret, write_atomically};
use crate::fatal::Fatal;

/// The bucket that exists from the start, as a folder.
pub const BUCKET: &str = "audit-logs";
/// The connector's access key.
pub const ACCESS_KEY: &str = "auditstream-demo";

/// The store, which listens but does not serve yet.
pub struct Store {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// The secret of the access key.
    pub secret: String,
    /// The folder with one folder per bucket.
    pub objects: PathBuf,
    listener: TcpListener,
    service: S3Service,
}

impl Store {
    /// Listens on the port of the last start if it is still free.
    pub async fn open(folder: &Path) -> Result<Self, Fatal> {
        let failed = |error: &dyn std::fmt::Display| Fatal::new(format!("cannot start the demo's store: {error}"));
        let objects = folder.join("store");
        std::fs::create_dir_all(objects.join(BUCKET)).map_err(|error| failed(&error))?;
        let secret = read_or_create_secret(&folder.join("store.secret"))?;
        let listener = listen(&folder.join("store.port")).await?;
        let address = listener.local_addr().map_err(|error| failed(&error))?;
        let files = s3s_fs::FileSystem::new(&objects).map_err(|error| failed(&format!("{error:?}")))?;
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

    /// Handles requests. Refuses unknown buckets, which the underlying service would create.
    fn service(
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
    pub async fn serve(self: Arc<Self>) {
        loop {
            let Ok((connection, _)) = self.listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let service = self.service();
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let service = hyper_util::service::TowerToHyperService::new(service);
                if let Err(error) = builder.serve_connection(TokioIo::new(connection), service).await {
                    tracing::debug!(%error, "a connection to the demo's store ended");
                }
            });
        }
    }
}

async fn listen(port_file: &Path) -> Result<TcpListener, Fatal> {
    let last_port = read_if_present(port_file)?.and_then(|port| port.parse::<u16>().ok());
    if let Some(port) = last_port
        && let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
    {
        return Ok(listener);
    }
    let failed = |error| Fatal::new(format!("cannot start the demo's store: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    write_atomically(port_file, &port.to_string())?;
    Ok(listener)
}
