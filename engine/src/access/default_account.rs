//! The account that every installation starts with.

use auditstream_model::AccountName;

use crate::database::{Database, now};
use crate::error::Result;

pub(crate) async fn ensure_default_account(database: &Database) -> Result<()> {
    database
        .transaction("ensure_default_account", async |tx| {
            sqlx::query(
                "INSERT INTO account (name, external_id, created) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING",
            )
            .bind(AccountName::default_account().as_str())
            .bind(super::random_text())
            .bind(now())
            .execute(&mut **tx)
            .await?;
            Ok(())
        })
        .await
}
