//! A server that responds as a test says, and keeps what it was asked.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::raw_http::{self, Request};

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers, without `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body; left out of responses to HEAD requests.
    pub body: String,
}

impl Reply {
    /// Returns a response without headers.
    #[must_use]
    pub fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    /// Returns a web page.
    #[must_use]
    pub fn html(status: u16, title: &str) -> Self {
        Self::new(status, &format!("<!DOCTYPE html><html><title>{title}</title></html>"))
            .with("content-type", "text/html; charset=utf-8")
    }

    /// Returns an error response of S3.
    #[must_use]
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::new(
            status,
            &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        )
        .with("content-type", "application/xml")
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

type Respond = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A server on loopback.
#[derive(Clone)]
pub struct Responder {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    respond: Arc<Mutex<Respond>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Responder {
    /// Starts a server that responds by `respond`.
    pub async fn start(respond: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            respond: Arc::new(Mutex::new(Arc::new(respond))),
            requests: Arc::default(),
        };
        let shared = server.clone();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let server = shared.clone();
                tokio::spawn(async move {
                    let mut request = raw_http::read_head(&mut socket).await?;
                    raw_http::read_body(&mut socket, &mut request).await?;
                    let respond = Arc::clone(&server.respond.lock().unwrap());
                    let bytes = bytes(&respond(&request), request.method == "HEAD");
                    server.requests.lock().unwrap().push(request);
                    // Fails when the client has hung up.
                    let _ = socket.write_all(&bytes).await;
                    let _ = socket.shutdown().await;
                    Some(())
                });
            }
        });
        server
    }

    /// Responds by another function from now on.
    pub fn respond(&self, respond: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.respond.lock().unwrap() = Arc::new(respond);
    }

    /// Returns the requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn bytes(reply: &Reply, is_head: bool) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {} Reply\r\ncontent-length: {}\r\nconnection: close\r\n",
        reply.status,
        reply.body.len()
    );
    for (name, value) in &reply.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if !is_head {
        bytes.extend(reply.body.as_bytes());
    }
    bytes
}
