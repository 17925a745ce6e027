//! The id of each request, in its response and in the lines of the log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use auditstream_server::http::request_id;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn;
use axum::routing::get;
use serde_json::Value;
use tower::ServiceExt as _;
use tracing_subscriber::fmt::MakeWriter;

use crate::app::App;

#[tokio::test]
async fn a_response_has_the_id_that_the_client_sent_or_a_new_one() {
    let app = App::start().await;
    let id = async |sent: Option<&str>| {
        let mut request = app.get("/v1/audit-events");
        if let Some(sent) = sent {
            request = request.header("x-request-id", sent);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401, "also on a refusal");
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(Some("trace-42/7")).await, "trace-42/7");
    let (first, second) = (id(None).await, id(Some("not {valid}")).await);
    assert!(
        first != second && first.len() == 32 && second.len() == 32,
        "{first} {second}"
    );
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

async fn logs() -> &'static str {
    tracing::warn!("inside");
    "done"
}

async fn panics() -> &'static str {
    panic!("a mistake");
}

#[tokio::test]
async fn lines_of_the_log_carry_the_id_and_a_panic_is_a_500() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::WARN)
        .with_writer(captured.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let router = Router::new()
        .route("/logs", get(logs))
        .route("/panics", get(panics))
        .layer(from_fn(request_id::add));
    let ask = async |path: &str| {
        let request = Request::get(path)
            .header("x-request-id", "r-1")
            .body(Body::empty())
            .unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "r-1");
        answer.status().as_u16()
    };
    assert_eq!(ask("/logs?token=secret").await, 200);
    assert_eq!(ask("/panics").await, 500);
    let log = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&line["span"]["id"], &line["span"]["path"]),
        (&"r-1".into(), &"/logs".into())
    );
    assert!(!log.contains("secret"), "{log}");
}
