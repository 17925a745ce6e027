//! The way to the store for one attempt: the connector with its secrets, a place among the uploads,
//! and credentials. It is found again for each attempt, so that a mistyped bucket is corrected by
//! editing it.

use auditstream_model::FailureCode;

use super::attempt::{sign_in, sign_in_at_once};
use super::failure::DeliveryFailure;
use super::pass::Pass;
use crate::aws::{AwsProfile, S3, UplinkPlace};
use crate::connectors::ConnectorWithSecrets;
use crate::destinations::rows::DestinationRow;
use crate::error::{Error, Result};
use crate::{Engine, connectors};

pub(super) struct Line {
    /// As it was read for this attempt.
    pub(super) row: DestinationRow,
    pub(super) connector: ConnectorWithSecrets,
    pub(super) uplink: UplinkPlace,
    pub(super) s3: Result<S3, DeliveryFailure>,
}

impl Line {
    pub(super) fn profile(&self) -> &AwsProfile {
        &self.connector.profile
    }
}

/// The result of looking for a line.
pub(super) enum Found {
    Line(Box<Line>),
    /// The destination has no line until an admin changes something.
    Failed(DeliveryFailure),
    /// The server stops.
    Stopping,
}

impl Pass<'_> {
    /// Waits for a line. It waits for its place without a run slot.
    pub(super) async fn line(&mut self, row: &DestinationRow) -> Result<Found> {
        let connector = match unlock(self.engine, row).await? {
            Ok(connector) => connector,
            Err(failure) => return Ok(Found::Failed(failure)),
        };
        let Some(uplink) = self.enter_uplink(&connector.profile).await? else {
            return Ok(Found::Stopping);
        };
        let s3 = sign_in(self.engine, row, &connector.profile).await?;
        Ok(Found::Line(Box::new(Line {
            row: row.clone(),
            connector,
            uplink,
            s3,
        })))
    }

    /// Returns a line over which a batch can be sent immediately; `None` without such a line, which
    /// [`Self::line`] then explains.
    pub(super) async fn free_line(&self, row: &DestinationRow) -> Result<Option<Box<Line>>> {
        let Ok(connector) = unlock(self.engine, row).await? else {
            return Ok(None);
        };
        let Some(uplink) = self.engine.aws().uplink(&connector.profile).try_enter() else {
            return Ok(None);
        };
        let Some(s3) = sign_in_at_once(self.engine, row, &connector.profile)? else {
            return Ok(None);
        };
        Ok(Some(Box::new(Line {
            row: row.clone(),
            connector,
            uplink,
            s3: Ok(s3),
        })))
    }

    /// Returns `None` if the server stops meanwhile.
    async fn enter_uplink(&mut self, profile: &AwsProfile) -> Result<Option<UplinkPlace>> {
        let uplink = self.engine.aws().uplink(profile);
        if let Some(place) = uplink.try_enter() {
            return Ok(Some(place));
        }
        let mut place = None;
        let enter = async { place = uplink.enter().await };
        tokio::select! {
            returned = self.slot.lend(enter) => returned?,
            _ = self.stopping.changed() => return Ok(None),
        }
        Ok(place)
    }
}

async fn unlock(engine: &Engine, row: &DestinationRow) -> Result<Result<ConnectorWithSecrets, DeliveryFailure>> {
    match connectors::unlock(engine, row.account_id, &row.connector).await {
        Ok(Some(connector)) => Ok(Ok(connector)),
        Ok(None) => Ok(Err(DeliveryFailure::blocked(
            FailureCode::Connector,
            format!("The AWS connector “{}” does not exist.", row.connector),
            "Edit the destination and select another connector.",
        ))),
        // The events are intact: this is not a batch that cannot be built.
        Err(Error::Broken(why)) => Ok(Err(DeliveryFailure::new(
            FailureCode::Connector,
            format!(
                "The secrets of the AWS connector “{}” cannot be decrypted: {why}.",
                row.connector
            ),
            "Start every server with the current AUDITSTREAM_MASTER_KEY, not with one that was retired. If the key is \
             lost, enter the connector's secrets again.",
        ))),
        Err(error) => Err(error),
    }
}
