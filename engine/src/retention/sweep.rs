//! Sweeps over all accounts, step by step.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use auditstream_model::EpochMillis;

use super::expiry::{Expiry, find_expired, still_applies};
use super::{months, receipts, remove, shrink};
use crate::Engine;
use crate::clock::{self, Judgement};
use crate::database::SeenTime;
use crate::error::Result;
use crate::failpoint;
use crate::task::{Stop, Task};

/// Time between two looks at the clock.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The duration that one step should have.
const STEP_TAKES: Duration = Duration::from_millis(50);
const FIRST_ROWS: u32 = 500;
const FEWEST_ROWS: u32 = 50;

/// Starts to sweep all accounts at regular intervals. Stops after the current step.
pub(crate) fn start(engine: Engine) -> Task {
    Task::spawn("retention", engine.metrics().clone(), move |stop| {
        run(engine.clone(), stop)
    })
}

async fn run(engine: Engine, mut stop: Stop) {
    let mut sweep = Sweep::new(&engine);
    while !*stop.borrow() {
        failpoint::reached("retention.sweep").await;
        let pause = sweep.proceed().await;
        tokio::select! {
            _ = stop.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// An account that is being swept.
struct Turn {
    account_id: i64,
    /// `None` before its first step.
    expiry: Option<Expiry>,
    /// The number of events of the next step.
    rows: u32,
    removed: u64,
}

struct Sweep<'a> {
    engine: &'a Engine,
    /// The time, if it is not in doubt.
    trusted: Option<SeenTime>,
    looked: Option<Instant>,
    began: Option<Instant>,
    /// The accounts that are not finished; the next step is for the first.
    turns: VecDeque<Turn>,
    /// Whether the file may have free pages that are worth giving back.
    may_shrink: bool,
    /// The month whose events go together with its partitions.
    spared: Option<i64>,
}

impl<'a> Sweep<'a> {
    fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            trusted: None,
            looked: None,
            began: None,
            turns: VecDeque::new(),
            may_shrink: true,
            spared: None,
        }
    }

    /// Does one step and returns how long to pause after it.
    async fn proceed(&mut self) -> Duration {
        let every = self.engine.retention().every;
        let look_every = LOOK_EVERY.min(every);
        if self.looked.is_none_or(|looked| looked.elapsed() >= look_every) {
            self.look().await;
            self.looked = Some(Instant::now());
            self.engine.metrics().fold();
        }
        let Some(now) = self.trusted.map(SeenTime::now) else {
            self.turns.clear();
            return look_every;
        };
        if self.turns.is_empty() {
            if self.may_shrink {
                self.shrink().await;
                return self.pause();
            }
            if self.began.is_some_and(|began| began.elapsed() < every) {
                return look_every;
            }
            self.may_shrink = true;
            self.began = Some(Instant::now());
            self.remove_months(now).await;
            self.begin().await;
        }
        let Some(mut turn) = self.turns.pop_front() else {
            return look_every;
        };
        match step(self.engine, &mut turn, now, self.spared).await {
            Ok(true) => self.turns.push_back(turn),
            Ok(false) => finished(&turn),
            Err(error) => {
                tracing::error!(
                    account_id = turn.account_id,
                    %error,
                    "old events of an account cannot be removed; the next sweep retries"
                );
                self.engine.metrics().retention_failed();
            }
        }
        self.pause()
    }

    fn pause(&self) -> Duration {
        if self.engine.writer().waiting_bytes() > 0 {
            self.engine.retention().pause
        } else {
            Duration::ZERO
        }
    }

    async fn remove_months(&mut self, now: EpochMillis) {
        match months::remove_months(self.engine, now).await {
            Ok(spared) => self.spared = spared,
            Err(error) => {
                tracing::error!(%error, "the partitions of a month cannot be removed; the next sweep retries");
                self.spared = None;
                self.engine.metrics().retention_failed();
            }
        }
    }

    async fn shrink(&mut self) {
        match shrink::step(self.engine).await {
            Ok(more) => self.may_shrink = more,
            Err(error) => {
                tracing::error!(%error, "free pages of the database cannot be given back; the next sweep retries");
                self.may_shrink = false;
                self.engine.metrics().retention_failed();
            }
        }
    }

    /// Looks at the clock, and corrects receipts in the future unless the clock may be behind.
    async fn look(&mut self) {
        self.trusted = None;
        let look = match clock::look(self.engine).await {
            Ok(look) => look,
            Err(error) => {
                tracing::error!(%error, "the clock cannot be compared with the database; no old events are removed");
                self.engine.metrics().retention_failed();
                return;
            }
        };
        match look.judgement {
            Judgement::Behind(_) | Judgement::DiffersFromDatabase(_) => return,
            Judgement::Ahead(_) | Judgement::Settling => {}
            Judgement::Trusted => {
                self.trusted = Some(SeenTime::new(look.wall));
            }
        }
        if let Err(error) = receipts::correct(self.engine, look.wall).await {
            tracing::error!(%error, "times of receipt in the future cannot be corrected; retrying in a minute");
            self.engine.metrics().retention_failed();
        }
    }

    async fn begin(&mut self) {
        let accounts: Result<Vec<i64>, _> = sqlx::query_scalar("SELECT id FROM account ORDER BY id")
            .fetch_all(self.engine.database().read())
            .await;
        match accounts {
            Ok(accounts) => self.turns.extend(accounts.into_iter().map(|account_id| Turn {
                account_id,
                expiry: None,
                rows: FIRST_ROWS.min(self.engine.retention().step),
                removed: 0,
            })),
            Err(error) => {
                let error = crate::Error::from(error);
                tracing::error!(%error, "accounts cannot be read; the next sweep removes their old events");
                self.engine.metrics().retention_failed();
            }
        }
    }
}

/// Removes some of an account's old events. Returns whether more may be left.
async fn step(engine: &Engine, turn: &mut Turn, now: EpochMillis, spared: Option<i64>) -> Result<bool> {
    let expiry = match turn.expiry {
        Some(expiry) if still_applies(engine, turn.account_id, now, expiry).await? => expiry,
        _ => match find_expired(engine, turn.account_id, now).await? {
            Some(expiry) => *turn.expiry.insert(expiry),
            None => return Ok(false),
        },
    };
    let began = Instant::now();
    let removed = remove::step(engine, turn.account_id, expiry, turn.rows, spared).await?;
    turn.rows = next_rows(turn.rows, began.elapsed(), engine.retention().step);
    turn.removed += removed;
    engine.metrics().removed(removed);
    Ok(removed > 0)
}

/// Returns how many events the next step removes, so that it takes about [`STEP_TAKES`].
fn next_rows(rows: u32, took: Duration, most: u32) -> u32 {
    let took = took.as_micros().max(1);
    let fitting = u128::from(rows) * STEP_TAKES.as_micros() / took;
    let fitting = u32::try_from(fitting).unwrap_or(u32::MAX);
    fitting.min(rows.saturating_mul(2)).max(FEWEST_ROWS).min(most.max(1))
}

fn finished(turn: &Turn) {
    if turn.removed > 0 {
        tracing::info!(
            account_id = turn.account_id,
            removed = turn.removed,
            "removed events older than the retention"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_grows_and_shrinks_with_the_time_that_it_takes() {
        let ms = Duration::from_millis;
        assert_eq!(next_rows(500, ms(5), 20_000), 1_000, "at most twice as many");
        assert_eq!(next_rows(16_000, ms(1), 20_000), 20_000);
        assert_eq!(next_rows(1_000, ms(100), 20_000), 500);
        assert_eq!(next_rows(1_000, ms(60_000), 20_000), FEWEST_ROWS);
        assert_eq!(next_rows(7, ms(1), 7), 7, "a limit below the fewest rows");
    }
}
