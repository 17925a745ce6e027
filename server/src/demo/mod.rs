//! `serve --demo`: lets a newcomer see objects arrive in a bucket without an AWS account.

mod files;
pub mod s3;
pub mod samples;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use auditstream_engine::Precondition;
use auditstream_engine::{Actor, Engine, access, connectors, destinations};
use auditstream_model::{
    AccountName, Backoff, Code, Compression, ConnectorInput, ConnectorKind, ConnectorSpec, CredentialsInput,
    DestinationInput, Role, SpecInput, StartAt,
};
use tokio::task::JoinHandle;

use crate::fatal::Fatal;
use s3::Store;

const EMAIL: &str = "admin@demo.local";
const CONNECTOR: &str = "demo_s3";
const DESTINATION: &str = "demo_archive";

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    password: String,
    objects: PathBuf,
    tasks: Vec<JoinHandle<()>>,
}

impl Demo {
    /// Creates what does not exist yet, and starts the store and the sample events.
    pub async fn start(engine: &Engine, folder: &Path) -> Result<Self, Fatal> {
        let actor = Actor::command_line(engine, &AccountName::default_account()).await?;
        let password = files::read_or_create_secret(&folder.join("password"))?;
        if !access::has_users(engine).await? {
            access::create_user(engine, &actor, EMAIL, Role::Admin, &password).await?;
        }
        let store = Store::open(folder).await?;
        save_connector(engine, &actor, &store).await?;
        if engine.streaming_enabled() {
            create_destination(engine, &actor).await?;
        }
        samples::send_recorded(engine, &actor, folder).await?;
        let objects = store.objects.clone();
        let (store, stores, samples) = (Arc::new(store), engine.clone(), engine.clone());
        let tasks = vec![
            tokio::spawn(async move { stores.supervise("demo_store", || Arc::clone(&store).serve()).await }),
            tokio::spawn(async move {
                let send = || samples::send_periodically(samples.clone(), actor.clone());
                samples.supervise("demo_samples", send).await;
            }),
        ];
        Ok(Self {
            password,
            objects,
            tasks,
        })
    }

    /// The lines that a newcomer needs to read.
    #[must_use]
    pub fn welcome(&self, public_url: &str) -> String {
        let Self { password, objects, .. } = self;
        format!(
            "demo: open {public_url} and sign in as {EMAIL} with the password {password}\n\
             demo: activate {DESTINATION} under Audit Log Streaming to see objects arrive in {}",
            objects.join(s3::BUCKET).display()
        )
    }

    /// Stops the store and the sample events.
    pub fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

/// Creates the connector to the demo's store, or updates it if the store has a new port.
async fn save_connector(engine: &Engine, actor: &Actor, store: &Store) -> Result<(), Fatal> {
    let input = ConnectorInput {
        identifier: CONNECTOR.to_owned(),
        name: "Demo S3".to_owned(),
        description: "The demo's own store. Its objects are files on this machine.".to_owned(),
        tags: [("demo".to_owned(), String::new())].into(),
        spec: ConnectorSpec {
            kind: ConnectorKind::Aws,
            region: "us-east-1".to_owned(),
            endpoint: Some(store.endpoint.clone()),
            path_style: true,
            credentials: CredentialsInput::Manual {
                access_key: s3::ACCESS_KEY.to_owned(),
                secret_key: Some(store.secret.clone()),
                session_token: None,
            },
            cross_account: None,
            backoff: Backoff::default(),
        },
    };
    match connectors::get(engine, actor, CONNECTOR).await {
        Ok(view) if view.connector.spec.endpoint.as_deref() == Some(store.endpoint.as_str()) => {}
        Ok(_) => {
            connectors::replace(engine, actor, CONNECTOR, input, &Precondition::None).await?;
        }
        Err(error) if error.code() == Code::NotFound => {
            connectors::create(engine, actor, input).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

async fn create_destination(engine: &Engine, actor: &Actor) -> Result<(), Fatal> {
    let input = DestinationInput {
        identifier: DESTINATION.to_owned(),
        name: "Demo archive".to_owned(),
        description: "Activate it to stream the sample events.".to_owned(),
        tags: [("demo".to_owned(), String::new())].into(),
        status: None,
        connector_ref: CONNECTOR.to_owned(),
        spec: SpecInput {
            bucket: s3::BUCKET.to_owned(),
            start_at: Some(StartAt::Oldest),
            compression: Some(Compression::Gzip),
            ..SpecInput::default()
        },
    };
    match destinations::create(engine, actor, input).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Code::DuplicateField => Ok(()),
        Err(error) => Err(error.into()),
    }
}
