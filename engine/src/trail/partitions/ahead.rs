//! Creates the partitions of months before they are needed.

use std::collections::BTreeSet;

use auditstream_model::EpochMillis;

use super::tables::{Partitions, create};
use crate::database::{Database, Dialect, WriteTx};
use crate::error::Result;
use crate::months::month_of;

/// The PostgreSQL advisory lock under which partitions are created: "months" in ASCII.
const POSTGRES_LOCK: i64 = 0x6d6f_6e74_6873;
/// How many months have partitions before they begin.
pub(super) const AHEAD: i64 = 2;
/// The first month that can have partitions: January 2020. Earlier events cannot have been
/// received.
pub(super) const FIRST_MONTH: i64 = 600;

/// Creates the partitions of this month and the next ones, by PostgreSQL's clock, as a server
/// starts. Without them events go to partition 0.
pub(crate) async fn prepare(database: &Database) {
    if database.dialect() == Dialect::Sqlite {
        return;
    }
    let prepared = async {
        let now: EpochMillis =
            sqlx::query_scalar("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
                .fetch_one(database.read())
                .await?;
        create_ahead(database, month_of(now)).await
    };
    if let Err(error) = prepared.await {
        tracing::warn!(%error, "the partitions of this month cannot be created; retrying in the background");
    }
}

/// Creates the partitions of a month and the next ones that do not exist, and notes all that do.
pub(super) async fn create_ahead(database: &Database, month: i64) -> Result<BTreeSet<i64>> {
    let partitions = Partitions::read(database.read()).await?;
    let mut attached = partitions.attached();
    let wanted = month..=month + AHEAD;
    if month >= FIRST_MONTH && wanted.clone().any(|month| !attached.contains(&month)) {
        create_months(database, wanted.collect()).await?;
        attached = Partitions::read(database.read()).await?.attached();
    }
    database.months().found(attached.clone());
    Ok(attached)
}

pub(super) async fn create_months(database: &Database, months: Vec<i64>) -> Result<()> {
    let body = async |tx: &mut WriteTx| {
        sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)")
            .bind(POSTGRES_LOCK)
            .execute(&mut **tx)
            .await?;
        let partitions = Partitions::read(&mut **tx).await?;
        for month in &months {
            create(tx, &partitions, *month).await?;
        }
        Ok(())
    };
    database.background().transaction("create_partitions", body).await
}
