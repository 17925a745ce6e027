//! An engine with an empty database of either kind.

use std::path::Path;
use std::time::Duration;

use auditstream_engine::database::{DatabaseUrl, Limits, PostgresUrl};
use auditstream_engine::trail::{BodyFormat, ingest};
use auditstream_engine::{
    Actor, AwsSettings, Background, Clock, Config, EgressPolicy, Engine, IdSettings, MasterKey, Merging, Pacing,
    Retention, access, connectors, destinations,
};
use auditstream_model::{
    AccountName, AggregateItem, ApiTokenInput, Backoff, Batch, BatchStatus, ConnectorInput, DestinationInput,
    IngestOutcome, ListQuery, Scope, Status,
};
use sqlx::{AnyConnection, Connection as _, Executor as _};
use tempfile::TempDir;

use auditstream_testkit::postgres;
use auditstream_testkit::s3::{BUCKET, SECRET, Store};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// The database of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// Runs each of these functions on both databases, as the tests `sqlite::name` and
/// `postgres::name`.
#[macro_export]
macro_rules! on_both {
    ($($name:ident,)*) => {
        $crate::on!(sqlite, Sqlite, $($name,)*);
        $crate::on!(postgres, Postgres, $($name,)*);
    };
}

/// Runs each of these functions on one of them.
#[macro_export]
macro_rules! on {
    ($module:ident, $on:ident, $($name:ident,)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::House::open($crate::support::On::$on).await).await;
                }
            )*
        }
    };
}

/// Returns whether the sequences are 1, 2, 3 … each once.
pub fn dense(sequences: &[i64]) -> bool {
    let mut sorted = sequences.to_vec();
    sorted.sort_unstable();
    sorted.first() == Some(&1) && sorted.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

pub struct House {
    pub on: On,
    pub folder: TempDir,
    pub config: Config,
    /// The URL of its database.
    url: String,
    pub engine: Engine,
    pub admin: Actor,
    pub ingester: Actor,
    background: Option<Background>,
}

pub fn config(database: DatabaseUrl) -> Config {
    Config {
        database,
        data_dir: None,
        master_key: MasterKey::from_base64(KEY).unwrap(),
        streaming_enabled: true,
        stream_interval: Duration::from_secs(3600),
        aws: AwsSettings::default(),
        limits: Limits::default(),
        retention: Retention::default(),
        merging: Merging {
            every: Duration::from_secs(3600),
            ..Merging::default()
        },
        pacing: Pacing::default(),
        clock: Clock::default(),
        ids: IdSettings::default(),
        egress_policy: EgressPolicy::default(),
    }
}

fn fresh_database(on: On, folder: &Path) -> (DatabaseUrl, String) {
    match on {
        On::Sqlite => {
            let file = folder.join("auditstream.db");
            let url = format!("sqlite://{}", file.display());
            (DatabaseUrl::Sqlite(file), url)
        }
        On::Postgres => {
            let url = postgres::database();
            (DatabaseUrl::Postgres(PostgresUrl::parse(&url).unwrap()), url)
        }
    }
}

/// Creates a token with the scope `ingest` and returns its actor.
pub(crate) async fn ingester(engine: &Engine, admin: &Actor) -> Actor {
    let input = ApiTokenInput {
        name: format!("ingest {}", rand::random::<u64>()),
        scopes: vec![Scope::Ingest],
        expires_in_days: None,
    };
    let made = access::create_token(engine, admin, &input).await.unwrap();
    access::token(engine, &made.token).await.unwrap().unwrap()
}

impl House {
    pub async fn open(on: On) -> Self {
        Self::open_with(on, AwsSettings::default()).await
    }

    pub async fn open_with(on: On, aws: AwsSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, url) = fresh_database(on, folder.path());
        let config = Config {
            aws,
            data_dir: Some(folder.path().to_owned()),
            ..config(database)
        };
        Self::open_config(on, folder, config, url).await
    }

    /// Opens an engine that reaches PostgreSQL at the address `through`, a proxy to `url`.
    pub async fn open_through(through: &str, url: String, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = DatabaseUrl::Postgres(PostgresUrl::parse(through).unwrap());
        let config = Config {
            limits,
            ..config(database)
        };
        Self::open_config(On::Postgres, folder, config, url).await
    }

    /// Opens an engine with this configuration, on the database `url`.
    pub async fn open_config(on: On, folder: TempDir, config: Config, url: String) -> Self {
        let engine = Engine::open(config.clone()).await.unwrap();
        let admin = Actor::command_line(&engine, &AccountName::default_account())
            .await
            .unwrap();
        let ingester = ingester(&engine, &admin).await;
        let background = Some(engine.start());
        Self {
            on,
            folder,
            config,
            url,
            engine,
            admin,
            ingester,
            background,
        }
    }

    /// Stops the background tasks.
    pub async fn stop_streaming(&mut self) {
        self.background.take().unwrap().stop().await;
    }

    /// Starts the background tasks again.
    pub fn start_streaming(&mut self) {
        self.background = Some(self.engine.start());
    }

    /// Stops everything.
    pub async fn stop(&mut self) {
        if let Some(background) = self.background.take() {
            background.stop().await;
        }
        self.engine.close().await;
    }

    /// Stops everything and opens the same database again, like a restart.
    pub async fn restart(self) -> Self {
        let aws = self.config.aws.clone();
        self.restart_with(aws).await
    }

    pub async fn restart_with(mut self, aws: AwsSettings) -> Self {
        self.config.aws = aws;
        self.reopen().await
    }

    /// Restarts with a changed configuration.
    pub async fn reopen(mut self) -> Self {
        self.stop().await;
        self.engine = Engine::open(self.config.clone()).await.unwrap();
        self.background = Some(self.engine.start());
        self
    }

    /// Uses another database from the next start on, as after a restore into it.
    pub fn move_to(&mut self, url: &str) {
        url.clone_into(&mut self.url);
        self.config.database = DatabaseUrl::Postgres(PostgresUrl::parse(url).unwrap());
    }

    /// Uses another file from the next start on.
    pub fn move_to_file(&mut self, file: &Path) {
        self.on = On::Sqlite;
        self.url = format!("sqlite://{}", file.display());
        self.config.database = DatabaseUrl::Sqlite(file.to_owned());
    }

    /// Executes a statement on the database, bypassing the engine.
    pub async fn sql(&self, statement: &'static str) {
        let mut connection = self.connection().await;
        connection.execute(statement).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Returns the URL of its database.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn connection(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.unwrap()
    }

    /// Closes the database and returns its content as stored.
    pub async fn whole_database(&mut self) -> Vec<u8> {
        self.stop().await;
        match self.on {
            On::Sqlite => {
                let files = std::fs::read_dir(self.folder.path()).unwrap();
                files
                    .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
                    .collect()
            }
            On::Postgres => dump(&self.url),
        }
    }

    /// Returns every event of every account as stored.
    pub async fn stored_events(&self) -> Vec<StoredEvent> {
        let mut connection = self.connection().await;
        let stored = stored_events(&mut connection).await;
        connection.close().await.unwrap();
        stored
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

    /// Adds an active destination whose prefix is its name.
    pub async fn another_destination(&self, identifier: &str, connector: &str) {
        self.another_with(identifier, connector, Status::Active).await;
    }

    /// Adds a destination that writes nothing.
    pub async fn another_inactive(&self, identifier: &str, connector: &str) {
        self.another_with(identifier, connector, Status::Inactive).await;
    }

    async fn another_with(&self, identifier: &str, connector: &str, status: Status) {
        let mut input = destination(BUCKET, serde_json::json!({"prefix": format!("{identifier}/")}));
        input.identifier = identifier.into();
        input.connector_ref = connector.into();
        input.status = Some(status);
        destinations::create(&self.engine, &self.admin, input).await.unwrap();
    }

    /// Returns the batches, newest first.
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

    /// Waits until every destination has caught up, without requesting a run.
    pub async fn all_caught_up(&self) {
        for _ in 0..1200 {
            let list = destinations::aggregate(&self.engine, &self.admin, &ListQuery::default())
                .await
                .unwrap();
            let done = |item: &AggregateItem| {
                item.streaming_details.behind == Some(0) && item.streaming_details.failure.is_none()
            };
            if list.items.iter().all(done) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("some destinations are still behind");
    }

    /// Waits until the destination satisfies `enough`.
    pub async fn settled(&self, enough: impl Fn(&AggregateItem) -> bool) -> AggregateItem {
        self.settled_by(enough, false).await
    }

    async fn settled_by(&self, enough: impl Fn(&AggregateItem) -> bool, run: bool) -> AggregateItem {
        for _ in 0..2400 {
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

    /// Runs until nothing lags and nothing fails: the event of a recovery takes one more run.
    pub async fn streamed(&self) {
        let done =
            |item: &AggregateItem| item.streaming_details.behind == Some(0) && item.streaming_details.failure.is_none();
        self.settled_by(done, true).await;
        let batches = destinations::batches(&self.engine, &self.admin, "siem", &ListQuery::default())
            .await
            .unwrap();
        assert!(batches.items.iter().all(|batch| batch.status == BatchStatus::Success));
    }
}

/// Returns the content of a PostgreSQL database as text; bytes are in hexadecimal.
fn dump(url: &str) -> Vec<u8> {
    let name = url.rsplit('/').next().unwrap();
    let dumped = postgres::program("pg_dump").arg(name).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    dumped.stdout
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

/// Returns the recorded events.
pub fn events() -> Vec<serde_json::Value> {
    auditstream_testkit::events::NDJSON
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// An event as it is stored.
pub struct StoredEvent {
    pub account_id: i64,
    pub sequence: i64,
    /// Open at its end.
    pub payload: String,
}

impl StoredEvent {
    pub fn json(&self) -> serde_json::Value {
        let closed = format!(r#"{}"sequence":{}}}}}"#, self.payload, self.sequence);
        serde_json::from_str(&closed).unwrap()
    }
}

/// Reads every event without the engine: the format of segments is for ever.
pub async fn stored_events(connection: &mut AnyConnection) -> Vec<StoredEvent> {
    let rows: Vec<(i64, i64, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT account_id, first_sequence, last_sequence, bytes, content FROM audit_segment \
         ORDER BY account_id, last_sequence",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    let mut stored = Vec::new();
    for (account_id, first, last, bytes, content) in rows {
        let decompressed = zstd::stream::decode_all(content.as_slice()).unwrap();
        let (mut text, mut lengths) = decompressed.split_at(usize::try_from(bytes).unwrap());
        for sequence in first..=last {
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = lengths[0];
                lengths = &lengths[1..];
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let (payload, rest) = text.split_at(length);
            text = rest;
            let payload = String::from_utf8(payload.to_vec()).unwrap();
            stored.push(StoredEvent {
                account_id,
                sequence,
                payload,
            });
        }
        assert!(text.is_empty() && lengths.is_empty(), "{first} to {last}");
    }
    stored
}
