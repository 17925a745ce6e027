//! One attempt to deliver a batch: sign in, record the attempt, and make it.

use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use auditstream_model::{DestinationSpec, FailureCode};

use super::doubt::place;
use super::encode;
use super::failure::DeliveryFailure;
use super::freeze::OpenBatch;
use super::objects::Object;
use super::reconcile::{self, Delivered, Upload};
use crate::aws::object::{Bucket, CONDITION_HINT};
use crate::aws::{AwsProfile, S3};
use crate::destinations::rows::{self, DestinationRow};
use crate::error::Result;
use crate::{Engine, continuity, failpoint};

pub(super) enum AttemptOutcome {
    /// With a note for the admin, if something should be corrected nevertheless.
    Delivered(Delivered, Option<String>),
    Failed(DeliveryFailure),
    /// The destination was paused, moved, or claimed by another server first.
    LostClaim,
}

/// Signs in for an attempt.
pub(super) async fn sign_in(
    engine: &Engine,
    row: &DestinationRow,
    profile: &AwsProfile,
) -> Result<Result<S3, DeliveryFailure>> {
    let spec = row.spec.get()?;
    if requires_choice(row, spec) {
        return Ok(Err(choice_required()));
    }
    let s3 = engine.aws().s3(profile, spec.bucket.as_str()).await;
    Ok(s3.map_err(DeliveryFailure::from))
}

/// As [`sign_in`], without waiting; `None` if it would wait or fail.
pub(super) fn sign_in_at_once(engine: &Engine, row: &DestinationRow, profile: &AwsProfile) -> Result<Option<S3>> {
    let spec = row.spec.get()?;
    if requires_choice(row, spec) {
        return Ok(None);
    }
    Ok(engine.aws().s3_at_once(profile, spec.bucket.as_str()))
}

fn requires_choice(row: &DestinationRow, spec: &DestinationSpec) -> bool {
    row.conditional_writes == Some(0) && !spec.unconditional_writes
}

/// An attempt for which everything is ready.
pub(super) struct Attempt<'a> {
    pub(super) row: &'a DestinationRow,
    pub(super) profile: &'a AwsProfile,
    pub(super) s3: &'a S3,
    pub(super) object: &'a Object,
    /// Whether the transaction that froze the batch recorded the attempt.
    pub(super) is_recorded: bool,
}

impl Attempt<'_> {
    pub(super) async fn make(&self, engine: &Engine, batch: &mut OpenBatch) -> Result<AttemptOutcome> {
        let (row, spec) = (self.row, self.row.spec.get()?);
        let key = format!("{}{}", spec.prefix.as_str(), batch.key);
        if !self.is_recorded {
            let place = place(self.profile, spec.bucket.as_str(), &key);
            if !record_attempt(engine, row, batch, &place).await? {
                return Ok(AttemptOutcome::LostClaim);
            }
        }
        let upload = Upload {
            spec,
            key,
            body: self.object.body.clone(),
            body_sha256: self.object.body_sha256,
            sha256: encode::hex(&self.object.content_sha256),
            format: *batch.format.get()?,
            compression: batch.compression()?.0,
            content_bytes: self.object.content_bytes,
            in_doubt: batch.is_in_doubt(),
        };
        let bucket = self
            .s3
            .bucket(spec.bucket.as_str(), spec.expected_bucket_owner.as_deref());
        let note = region_note(self.profile, self.s3, spec);
        put(engine, row, &bucket, &upload, note).await
    }
}

/// Records an attempt before it is made. Returns `false` if the claim was lost.
async fn record_attempt(engine: &Engine, row: &DestinationRow, batch: &mut OpenBatch, place: &str) -> Result<bool> {
    let number = batch.number;
    let others = batch.doubt.move_to(place);
    engine
        .database()
        .background()
        .transaction("attempt", async |tx| {
            continuity::require(tx).await?;
            if !rows::lock_shared(tx, row.id, row.epoch).await? {
                return tx.roll_back(false);
            }
            let recorded = sqlx::query(
                "UPDATE streaming_batch \
                 SET attempts = attempts + 1, status = 'IN_PROGRESS', in_doubt = 1, place = $3, may_be_at = $4 \
                 WHERE destination_id = $1 AND number = $2 AND status <> 'SUCCESS'",
            )
            .bind(row.id)
            .bind(number)
            .bind(place)
            .bind(others)
            .execute(&mut **tx)
            .await?;
            Ok(recorded.rows_affected() == 1)
        })
        .await
}

/// Begins the PUT inside a transaction that locks the destination's row, so that a pause comes
/// either before it, and there is no PUT, or after it has begun. Waits for its response without the
/// lock, so that a pause never waits for S3.
async fn put(
    engine: &Engine,
    row: &DestinationRow,
    bucket: &Bucket,
    upload: &Upload<'_>,
    note: Option<String>,
) -> Result<AttemptOutcome> {
    let began = Instant::now();
    // Before the lock: after it, the first request must be the PUT.
    let exists = reconcile::look(bucket, upload).await;
    let mut put = pin!(async {
        match exists {
            Ok(exists) => reconcile::put(bucket, upload, exists).await,
            Err(failure) => Err(failure),
        }
    });
    let database = engine.database();
    let turn = database.background().turn().await;
    let begin = async {
        let mut tx = database.write().await?;
        let is_ours = rows::lock_shared(&mut tx, row.id, row.epoch).await?;
        Ok(is_ours.then_some(tx))
    };
    let Some(tx) = database.within(begin).await? else {
        return Ok(AttemptOutcome::LostClaim);
    };
    failpoint::reached("put.beginning").await;
    let begun = futures::poll!(&mut put);
    failpoint::reached("put.begun").await;
    // Nothing was written. If the commit fails, the row is free nevertheless, and the PUT is in
    // flight.
    let _ = tx.commit().await;
    drop(turn);
    failpoint::reached("put.under_way").await;
    let result = match begun {
        Poll::Ready(result) => result,
        Poll::Pending => put.await,
    };
    failpoint::reached("put.answered").await;
    let outcome = match &result {
        Ok(delivered) if delivered.verified => "delivered",
        Ok(_) => "unverified",
        Err(failure) => failure.failure.code.as_str(),
    };
    engine.metrics().put(outcome, began.elapsed());
    Ok(match result {
        Ok(delivered) => AttemptOutcome::Delivered(delivered, note),
        Err(mut failure) => {
            failure.credentials_refused = failure.failure.code == FailureCode::Credentials;
            AttemptOutcome::Failed(failure)
        }
    })
}

fn choice_required() -> DeliveryFailure {
    DeliveryFailure::new(
        FailureCode::ConditionalWrites,
        "The bucket check found that the store does not honour If-None-Match.",
        format!("{CONDITION_HINT} If the store does so by now, check the bucket again."),
    )
}

fn region_note(profile: &AwsProfile, s3: &S3, spec: &DestinationSpec) -> Option<String> {
    (s3.region != profile.region).then(|| {
        format!(
            "The bucket {bucket} is in {region}, and the batch was written there; the connector's region is {}. Set \
             it to {region}.",
            profile.region,
            bucket = spec.bucket.as_str(),
            region = s3.region,
        )
    })
}
