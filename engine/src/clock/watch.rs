//! Compares the clock with what the database and other clocks show.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auditstream_model::EpochMillis;
use sqlx::FromRow;

use super::judgement::{Evidence, Judgement, judge};
use crate::Engine;
use crate::database::{Database, Dialect, SeenTime};
use crate::error::Result;

/// A clock that moves by more than this against the monotonic clock was set, ms.
const SET_BY: i64 = 5 * 60_000;
/// How far an independent clock may differ and still confirm this one, ms.
const CONFIRMS_WITHIN: i64 = 5 * 60_000;
/// The age at which the trusted time in the database is renewed, ms.
const RENEWED_AFTER: i64 = 20_000;

/// The last judgement. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched(Arc<Mutex<Option<Judgement>>>);

impl Watched {
    /// Whether the clock is in doubt by the last judgement; `false` before the first.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(Judgement::is_doubt)
    }

    fn replace(&self, judgement: Judgement) -> Option<Judgement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(judgement)
    }
}

/// The clock as the database knows it.
#[derive(FromRow)]
struct Stored {
    trusted: EpochMillis,
    newest_receipt: EpochMillis,
    /// PostgreSQL's clock; 0 on SQLite.
    database: EpochMillis,
}

/// Watches the clock of a server while it runs.
#[derive(Debug)]
pub(crate) struct Watch {
    watched: Watched,
    /// The clock when it last began to run evenly.
    even: SeenTime,
    settles_after: Duration,
    /// The latest trusted time that this server has seen, as it is stored.
    known: Option<SeenTime>,
    /// Whether PostgreSQL runs on another host, so that its clock is independent.
    is_database_remote: bool,
}

/// A look at the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) judgement: Judgement,
    /// This server's clock.
    pub(crate) wall: EpochMillis,
    /// The latest trusted time; `None` before the first.
    pub(crate) trusted: Option<EpochMillis>,
    /// Whether an independent clock shows the same time.
    is_witnessed: bool,
}

impl Watch {
    pub(crate) fn new(
        database: &Database,
        watched: Watched,
        settles_after: Duration,
        is_database_remote: bool,
    ) -> Self {
        Self {
            watched,
            even: SeenTime::new(database.clock().wall()),
            settles_after,
            known: None,
            is_database_remote,
        }
    }

    /// Judges the clock, and corrects the time that this server records if a better one is known.
    pub(crate) async fn look(&mut self, database: &Database) -> Result<Look> {
        let stored = read(database).await?;
        let wall = database.clock().wall();
        if (self.even.now() - wall).abs() > SET_BY {
            tracing::warn!(
                by_seconds = (wall - self.even.now()) / 1_000,
                "the clock of this server was set, or the server was suspended"
            );
            self.even = SeenTime::new(wall);
        }
        let known = self.known(stored.trusted);
        let database_time = (stored.database > 0).then_some(stored.database);
        let evidence = Evidence {
            wall,
            database: database_time,
            known,
            newest_receipt: (stored.newest_receipt > 0).then_some(stored.newest_receipt),
            is_witnessed: database.clock().is_witnessed(wall) || database_time.is_some() && self.is_database_remote,
            has_settled: self.even.at.elapsed() >= self.settles_after,
        };
        let judgement = judge(&evidence);
        let better = match judgement {
            Judgement::DiffersFromDatabase(_) => database_time,
            Judgement::Behind(_) => known,
            _ => None,
        };
        database
            .clock()
            .correct(better.map_or(0, |better| better.saturating_sub(wall)));
        Ok(Look {
            judgement,
            wall,
            trusted: (stored.trusted > 0).then_some(stored.trusted),
            is_witnessed: evidence.is_witnessed,
        })
    }

    /// The latest trusted time, plus the time elapsed since this server has seen it advance.
    fn known(&mut self, trusted: EpochMillis) -> Option<EpochMillis> {
        // It decreases when an admin confirms a clock that was behind.
        if self.known.is_none_or(|known| known.time != trusted) {
            self.known = (trusted > 0).then(|| SeenTime::new(trusted));
        }
        self.known.map(SeenTime::now)
    }

    fn report(&self, judgement: Judgement) {
        let before = self.watched.replace(judgement);
        let was_in_doubt = before.is_some_and(Judgement::is_doubt);
        if judgement.is_doubt() && !was_in_doubt {
            tracing::warn!(
                reason = judgement.explain(),
                "the clock of this server is in doubt: no old events are removed"
            );
        } else if was_in_doubt && !judgement.is_doubt() {
            tracing::info!("the clock of this server is no longer in doubt");
        }
    }

    /// Stores a trusted time, unless a later one is stored; `is_lower` replaces it in any case.
    async fn store(&mut self, engine: &Engine, time: EpochMillis, is_lower: bool) -> Result<()> {
        engine
            .database()
            .background()
            .transaction("advance_clock", async |tx| {
                let query = sqlx::query("UPDATE clock SET trusted = $1 WHERE trusted < $1 OR $2 = 1");
                query.bind(time).bind(i64::from(is_lower)).execute(&mut **tx).await?;
                Ok(())
            })
            .await?;
        self.known = Some(SeenTime::new(time));
        Ok(())
    }
}

/// Looks at the clock. Advances the trusted time if it is not in doubt.
pub(crate) async fn look(engine: &Engine) -> Result<Look> {
    let mut watch = engine.clock_watch().await;
    let look = watch.look(engine.database()).await?;
    watch.report(look.judgement);
    if look.judgement == Judgement::Trusted {
        let trusted = look.trusted.unwrap_or(0);
        let is_lower = look.is_witnessed && trusted > look.wall.saturating_add(CONFIRMS_WITHIN);
        if look.wall > trusted.saturating_add(RENEWED_AFTER) || is_lower {
            watch.store(engine, look.wall, is_lower).await?;
        }
    }
    Ok(look)
}

async fn read(database: &Database) -> Result<Stored> {
    let sql = match database.dialect() {
        Dialect::Sqlite => {
            "SELECT trusted, (SELECT coalesce(max(last_received), 0) FROM account) AS newest_receipt, 0 AS database \
             FROM clock"
        }
        Dialect::Postgres => {
            "SELECT trusted, (SELECT coalesce(max(last_received), 0) FROM account) AS newest_receipt, \
             CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS database \
             FROM clock"
        }
    };
    Ok(sqlx::query_as(sql).fetch_one(database.read()).await?)
}
