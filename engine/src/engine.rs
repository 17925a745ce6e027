//! The engine: the state that every part shares.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auditstream_model::Code;
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::access::{self, LastUses, TokenOwners};
use crate::alerts::{Client, Pacing};
use crate::aws::{Aws, AwsSettings};
use crate::clock::{Watch, Watched};
use crate::continuity;
use crate::database::{Clock, Database, DatabaseUrl, Limits};
use crate::egress_policy::EgressPolicy;
use crate::error::{Error, Result};
use crate::id_filters::{IdFilters, IdSettings};
use crate::marks::MarksFile;
use crate::metrics::Metrics;
use crate::relocation;
use crate::retention::Retention;
use crate::scheduler_watch::SchedulerWatch;
use crate::task::{OngoingWork, supervise};
use crate::trail::Merging;
use crate::trail::known_readers::KnownReaders;
use crate::trail::partitions;
use crate::trail::writer::Writer;
use crate::vault::{MasterKey, Vault};

/// How long closing waits for the high-water marks.
const CLOSING: Duration = Duration::from_secs(2);

/// The configuration of an engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The location of the database.
    pub database: DatabaseUrl,
    /// Limits on the use of the database.
    pub limits: Limits,
    /// The folder of this server for its high-water marks, outside of a PostgreSQL database. With
    /// SQLite they are next to the database.
    pub data_dir: Option<PathBuf>,
    /// The key that opens the secrets in the database.
    pub master_key: MasterKey,
    /// The feature flag for streaming: when off, nothing is streamed and streaming is hidden.
    pub streaming_enabled: bool,
    /// The time between two runs; ticks are aligned to the clock.
    pub stream_interval: Duration,
    /// How to reach AWS, and which accounts can use this host's own identity.
    pub aws: AwsSettings,
    /// The addresses that connectors and the webhook can connect to.
    pub egress_policy: EgressPolicy,
    /// How long events are retained.
    pub retention: Retention,
    /// How often small segments of the trail are merged.
    pub merging: Merging,
    /// How often the webhook is notified.
    pub pacing: Pacing,
    /// The clock of this server.
    pub clock: Clock,
    /// How event ids are looked up.
    pub ids: IdSettings,
}

impl Config {
    fn marks(&self) -> Option<MarksFile> {
        continuity::marks_file(&self.database, self.data_dir.as_deref())
    }
}

struct Shared {
    database: Database,
    vault: Vault,
    writer: Writer,
    aws: Aws,
    egress_policy: EgressPolicy,
    wake: Notify,
    scheduler_watch: SchedulerWatch,
    last_uses: LastUses,
    token_owners: TokenOwners,
    streaming_enabled: bool,
    stream_interval: Duration,
    retention: Retention,
    merging: Merging,
    clock_watch: Mutex<Watch>,
    watched_clock: Watched,
    metrics: Metrics,
    pacing: Pacing,
    webhook_client: OnceLock<Client>,
    known_readers: KnownReaders,
    ongoing_work: OngoingWork,
}

/// A handle to the engine; cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// Opens the database, brings it up to date and unlocks its secrets.
    ///
    /// # Errors
    /// [`Error::Opening`] with the reason and what to do.
    pub async fn open(config: Config) -> Result<Self> {
        let marks = config.marks();
        let database = Database::open(&config.database, &config.limits)
            .await?
            .with_clock(config.clock)
            .with_id_filters(IdFilters::new(config.ids));
        partitions::prepare(&database).await;
        continuity::watch::open(&database, marks).await?;
        let vault = Vault::open(&database, &config.master_key).await?;
        access::ensure_default_account(&database).await?;
        relocation::announce(&database).await?;
        let metrics = Metrics::new()?;
        let watched_clock = Watched::default();
        let mut clock_watch = Watch::new(
            &database,
            watched_clock.clone(),
            config.retention.settle,
            config.database.is_remote(),
        );
        // Corrects the time that is recorded from the first moment on, if the database knows
        // better.
        clock_watch.look(&database).await?;
        Ok(Self(Arc::new(Shared {
            writer: Writer::start(database.clone(), metrics.clone()),
            aws: Aws::new(config.aws, config.egress_policy, database.clock().clone()),
            egress_policy: config.egress_policy,
            wake: Notify::new(),
            scheduler_watch: SchedulerWatch::default(),
            last_uses: LastUses::default(),
            token_owners: TokenOwners::default(),
            database,
            vault,
            streaming_enabled: config.streaming_enabled,
            stream_interval: config.stream_interval,
            retention: config.retention,
            merging: config.merging,
            clock_watch: Mutex::new(clock_watch),
            watched_clock,
            metrics,
            pacing: config.pacing,
            webhook_client: OnceLock::new(),
            known_readers: KnownReaders::default(),
            ongoing_work: OngoingWork::default(),
        })))
    }

    /// Whether audit log streaming is enabled on this server.
    #[must_use]
    pub fn streaming_enabled(&self) -> bool {
        self.0.streaming_enabled
    }

    /// The time between two runs.
    #[must_use]
    pub fn stream_interval(&self) -> Duration {
        self.0.stream_interval
    }

    pub(crate) fn require_streaming(&self) -> Result<()> {
        if self.0.streaming_enabled {
            return Ok(());
        }
        Err(Error::refused(
            Code::FeatureDisabled,
            "Not enabled. Contact your administrator.",
        ))
    }

    /// Runs `work`, and again after a second whenever it panics or ends. Restarts are logged, and
    /// counted under the name `task`. Never completes.
    pub async fn supervise<F>(&self, task: &'static str, work: impl FnMut() -> F)
    where
        F: Future<Output = ()>,
    {
        supervise(task, self.metrics(), || false, work).await;
    }

    /// Waits for the work that outlived its request, stores what is noted only in memory, in the
    /// high-water marks too, and closes the database.
    pub async fn close(&self) {
        self.0.ongoing_work.ended().await;
        access::flush_last_uses(self).await;
        let compared = continuity::watch::compare(self.database());
        // The marks are exact without this as well, only some seconds older.
        let _ = tokio::time::timeout(CLOSING, compared).await;
        self.0.database.close().await;
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.0.writer
    }

    pub(crate) fn aws(&self) -> &Aws {
        &self.0.aws
    }

    pub(crate) fn egress_policy(&self) -> EgressPolicy {
        self.0.egress_policy
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.0.retention
    }

    pub(crate) fn merging(&self) -> &Merging {
        &self.0.merging
    }

    pub(crate) fn pacing(&self) -> &Pacing {
        &self.0.pacing
    }

    pub(crate) fn webhook_client(&self) -> &Client {
        self.0
            .webhook_client
            .get_or_init(|| Client::new(self.egress_policy(), self.pacing().timeout))
    }

    pub(crate) fn known_readers(&self) -> &KnownReaders {
        &self.0.known_readers
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) async fn clock_watch(&self) -> MutexGuard<'_, Watch> {
        self.0.clock_watch.lock().await
    }

    pub(crate) fn watched_clock(&self) -> &Watched {
        &self.0.watched_clock
    }

    pub(crate) fn last_uses(&self) -> &LastUses {
        &self.0.last_uses
    }

    pub(crate) fn token_owners(&self) -> &TokenOwners {
        &self.0.token_owners
    }

    /// Notes when the scheduler looks for due destinations.
    pub(crate) fn scheduler_watch(&self) -> &SchedulerWatch {
        &self.0.scheduler_watch
    }

    pub(crate) fn ongoing_work(&self) -> &OngoingWork {
        &self.0.ongoing_work
    }

    /// Makes the scheduler look for due destinations immediately.
    pub(crate) fn wake(&self) {
        self.0.wake.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.0.wake.notified().await;
    }
}
