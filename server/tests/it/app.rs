//! A complete server with separate data, and clients for it.

use std::net::SocketAddr;
use std::time::Duration;

use auditstream_engine::database::Limits;
use auditstream_engine::{
    Actor, AwsSettings, Background, Clock, Config, EgressPolicy, Engine, MasterKey, Merging, Pacing, Retention, access,
};
use auditstream_model::{AccountName, ApiTokenInput, Role, Scope};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use auditstream_testkit::s3::{ACCESS_KEY, SECRET, Store};

pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Real events, one per line.
pub(crate) const EVENTS: &str = auditstream_testkit::events::NDJSON;

pub(crate) struct App {
    pub(crate) address: String,
    pub(crate) engine: Engine,
    pub(crate) ingest: String,
    pub(crate) read: String,
    pub(crate) admin: String,
    client: Client,
    _background: Background,
    pub(crate) folder: TempDir,
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::start_with(true).await
    }

    pub(crate) async fn start_with(streaming_enabled: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let engine = Engine::open(Config {
            database: folder.path().join("auditstream.db").into(),
            data_dir: None,
            master_key: MasterKey::from_base64(KEY).unwrap(),
            streaming_enabled,
            stream_interval: Duration::from_secs(3600),
            aws: AwsSettings::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            merging: Merging::default(),
            pacing: Pacing::default(),
            clock: Clock::default(),
            ids: auditstream_engine::IdSettings::default(),
            egress_policy: EgressPolicy::default(),
        })
        .await
        .unwrap();
        let account = AccountName::default_account();
        let actor = Actor::command_line(&engine, &account).await.unwrap();
        access::create_user(&engine, &actor, EMAIL, Role::Admin, PASSWORD)
            .await
            .unwrap();
        let mut tokens = Vec::new();
        for (name, scope) in [("in", Scope::Ingest), ("out", Scope::Read), ("all", Scope::Admin)] {
            tokens.push(token(&engine, &actor, name, &[scope]).await);
        }
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = auditstream_server::cli::serve::state(engine.clone(), &address);
        let background = engine.start();
        tokio::spawn(auditstream_server::cli::serve::serve(
            listener,
            state,
            std::future::pending(),
        ));
        // Requests look like those of the server's pages unless they set another origin.
        let mut own_origin = HeaderMap::new();
        own_origin.insert("origin", address.parse().unwrap());
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .default_headers(own_origin)
            .build()
            .unwrap();
        let [ingest, read, admin] = tokens.try_into().unwrap();
        Self {
            address,
            engine,
            ingest,
            read,
            admin,
            client,
            _background: background,
            folder,
        }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.address))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.address))
    }

    pub(crate) fn put(&self, path: &str) -> RequestBuilder {
        self.client.put(format!("{}{path}", self.address))
    }

    pub(crate) fn delete(&self, path: &str) -> RequestBuilder {
        self.client.delete(format!("{}{path}", self.address))
    }

    pub(crate) fn send_events(&self, kind: &str) -> RequestBuilder {
        self.post("/v1/audit-events")
            .bearer_auth(&self.ingest)
            .header("content-type", kind)
    }

    /// The number of events on the newest page of the trail.
    pub(crate) async fn stored(&self) -> usize {
        let page: Value = self
            .get("/v1/audit-events?limit=100")
            .bearer_auth(&self.read)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        page["events"].as_array().unwrap().len()
    }

    /// An S3 store on loopback, and the connector `aws` to it.
    pub(crate) async fn with_store(&self) -> Store {
        let store = Store::start_in(self.folder.path(), "logs").await;
        let made = self
            .post("/v1/connectors")
            .bearer_auth(&self.admin)
            .json(&connector(&store.endpoint))
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.text().await.unwrap());
        store
    }

    /// Signs in and returns the session cookie.
    pub(crate) async fn signed_in(&self) -> String {
        let answer = self
            .post("/sign-in")
            .form(&[("email", EMAIL), ("password", PASSWORD)])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let cookie = cookie(&answer, "auditstream_session").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

pub(crate) async fn token(engine: &Engine, actor: &Actor, name: &str, scopes: &[Scope]) -> String {
    let input = ApiTokenInput {
        name: name.to_owned(),
        scopes: scopes.to_vec(),
        expires_in_days: None,
    };
    access::create_token(engine, actor, &input).await.unwrap().token
}

pub(crate) fn connector(endpoint: &str) -> Value {
    json!({"identifier": "aws", "name": "AWS", "spec": {"type": "AWS", "endpoint": endpoint, "path_style": true,
        "credentials": {"type": "MANUAL", "access_key": ACCESS_KEY, "secret_key": SECRET},
        "backoff": {"type": "FIXED_DELAY", "fixed_backoff": 10, "retry_count": 1}}})
}

pub(crate) fn destination(identifier: &str, status: &str) -> Value {
    json!({"identifier": identifier, "name": identifier, "status": status, "connector_ref": "aws",
        "spec": {"type": "AWS_S3", "bucket": "logs", "start_at": "oldest"}})
}

/// The complete `Set-Cookie` header of a cookie.
pub(crate) fn cookie(answer: &Response, name: &str) -> Option<String> {
    let cookies = answer.headers().get_all("set-cookie").into_iter();
    cookies
        .map(|value| value.to_str().unwrap().to_owned())
        .find(|value| value.starts_with(&format!("{name}=")))
}

/// The error code that a refused form leaves for the next page. The cookie may also carry an e-mail
/// address.
pub(crate) fn flash(answer: &Response) -> Option<String> {
    let cookie = cookie(answer, "auditstream_flash")?;
    cookie.split(['=', ';', '.']).nth(1).map(str::to_owned)
}

/// Checks a refusal and returns its problem.
pub(crate) async fn refused(answer: Response, status: u16, code: &str) -> Value {
    let kind = answer
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned());
    let got = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    assert_eq!(
        (got, kind.as_deref()),
        (status, Some("application/problem+json")),
        "{text}"
    );
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (problem["code"].as_str(), problem["status"].as_u64()),
        (Some(code), Some(u64::from(status))),
        "{text}"
    );
    assert!(
        !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty(),
        "{text}"
    );
    problem
}

pub(crate) fn event(id: &str) -> Value {
    let mut event: Value = serde_json::from_str(EVENTS.lines().next().unwrap()).unwrap();
    event["auditEventId"] = id.into();
    event
}
