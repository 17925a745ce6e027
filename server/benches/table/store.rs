//! An S3 store that counts the bytes of objects and discards them, so that the server is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use tokio::net::TcpListener;

/// The uploads that the store received.
#[derive(Debug, Default)]
pub struct Received {
    pub objects: AtomicU64,
    pub bytes: AtomicU64,
}

/// A running store.
pub struct Store {
    pub endpoint: String,
    pub received: Arc<Received>,
}

impl Store {
    pub async fn start() -> Self {
        let received = Arc::<Received>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(respond).with_state(Arc::clone(&received));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, received }
    }
}

async fn respond(State(received): State<Arc<Received>>, request: Request<Body>) -> Response {
    if request.method() != Method::PUT {
        return StatusCode::NOT_FOUND.into_response();
    }
    let checksum = request.headers().get("x-amz-checksum-sha256").cloned();
    let mut body = request.into_body().into_data_stream();
    let mut bytes = 0;
    while let Some(chunk) = body.next().await {
        bytes += chunk.unwrap().len() as u64;
    }
    let object = received.objects.fetch_add(1, Ordering::Relaxed);
    received.bytes.fetch_add(bytes, Ordering::Relaxed);
    let mut response = ([("etag", format!("\"{object:032x}\""))], ()).into_response();
    if let Some(checksum) = checksum {
        response.headers_mut().insert("x-amz-checksum-sha256", checksum);
    }
    response
}
