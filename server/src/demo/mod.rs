//! `serve --demo`: a newcomer sees objects land without an AWS account.
//!
//! - [`store`]: an S3-compatible store on loopback; objects are plain files under `store/`
//! - [`samples`]: events that happened, and that go on happening
//!
//! All of it is kept in the demo's folder, so that a restart goes on where it stopped.

pub mod s3;
pub mod samples;

use std::path::{Path, PathBuf};

use auditstream_engine::{Actor, Engine, access, connectors, destinations};
use auditstream_model::{
    AccountName, Backoff, Code, Compression, ConnectorInput, ConnectorKind, ConnectorSpec, CredentialsInput,
    DestinationInput, Role, SpecInput, StartAt,
};
use tokio::task::JoinHandle;

use crate::cli::fatal::Fatal;
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
    /// Sets up what is missing, and starts the store and the sample events.
    ///
    /// # Errors
    /// When a file of the demo cannot be read or written, or the engine refuses.
    pub async fn start(engine: &Engine, folder: &Path) -> Result<Self, Fatal> {
        let actor = Actor::command_line(engine, &AccountName::default_account()).await?;
        let password = kept_secret(&folder.join("password"))?;
        if !access::has_users(engine).await? {
            access::create_user(engine, &actor, EMAIL, Role::Admin, &password).await?;
        }
        let store = Store::open(folder).await?;
        connect(engine, &actor, &store).await?;
        if engine.streaming_enabled() {
            archive(engine, &actor).await?;
        }
        samples::first(engine, &actor, folder).await?;
        let objects = store.objects.clone();
        let tasks = vec![
            tokio::spawn(store.serve()),
            tokio::spawn(samples::go_on(engine.clone(), actor)),
        ];
        Ok(Self {
            password,
            objects,
            tasks,
        })
    }

    /// What a newcomer needs to know.
    #[must_use]
    pub fn welcome(&self, public_url: &str) -> String {
        let Self { password, objects, .. } = self;
        format!(
            "demo: open {public_url}, sign in as {EMAIL} with the password {password}\n\
             demo: activate {DESTINATION} under Audit Log Streaming, and see objects land in {}",
            objects.join(s3::BUCKET).display()
        )
    }

    /// Ends the store and the sample events.
    pub fn stop(self) {
        for task in self.tasks {
            task.abort();
        }
    }
}

/// The connector to the demo's store, whose port may have changed.
async fn connect(engine: &Engine, actor: &Actor, store: &Store) -> Result<(), Fatal> {
    let input = ConnectorInput {
        identifier: CONNECTOR.to_owned(),
        name: "Demo S3".to_owned(),
        description: "The store that came with the demo; objects are files on this machine.".to_owned(),
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
            connectors::replace(engine, actor, CONNECTOR, input).await?;
        }
        Err(error) if error.problem().code == Code::NotFound => {
            connectors::create(engine, actor, input).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// A destination that is ready to be activated; whatever somebody made of it since stays.
async fn archive(engine: &Engine, actor: &Actor) -> Result<(), Fatal> {
    let input = DestinationInput {
        identifier: DESTINATION.to_owned(),
        name: "Demo archive".to_owned(),
        description: "Activate me, and the sample events land as objects.".to_owned(),
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
        Err(error) if error.problem().code == Code::DuplicateField => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A random text that is made once and kept where only its owner can read it.
fn kept_secret(path: &Path) -> Result<String, Fatal> {
    if let Some(kept) = kept(path)? {
        return Ok(kept);
    }
    const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letter = || char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    let secret: String = std::iter::repeat_with(letter).take(24).collect();
    keep(path, &secret)?;
    Ok(secret)
}

fn kept(path: &Path) -> Result<Option<String>, Fatal> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fatal::new(format!("cannot read {}: {error}", path.display()))),
    }
}

/// Writes beside the file and renames, so that a file is whole or not there.
fn keep(path: &Path, text: &str) -> Result<(), Fatal> {
    use std::io::Write;
    let refuse = |error: std::io::Error| Fatal::new(format!("cannot write {}: {error}", path.display()));
    let beside = path.with_added_extension("new");
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(refuse)?;
    file.write_all(text.as_bytes()).map_err(refuse)?;
    file.sync_all().map_err(refuse)?;
    std::fs::rename(&beside, path).map_err(refuse)
}
