//! Whether the server can do its work, for load balancers.

use std::time::Duration;

use auditstream_model::Code;
use tokio::time::timeout;

use crate::database::now;
use crate::error::{Error, Result};
use crate::{Engine, continuity};

/// How long the check itself can take.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
/// How long a server is not ready after a failed commit, ms.
const UNREADY_AFTER_FAILURE: i64 = 5_000;
/// How much later than the deadline's third the scheduler can be: it looks once a second.
const SCHEDULER_PAUSE: Duration = Duration::from_secs(2);

impl Engine {
    /// Checks that the database responds, that commits of events end in time and the last one
    /// succeeded, and that the scheduler is alive. A failed commit counts for some seconds. Takes
    /// two seconds at most.
    ///
    /// # Errors
    /// [`Code::Unavailable`] with the reason.
    pub async fn ready(&self) -> Result<()> {
        let late = self.database().deadline() / 3;
        if self.writer().oldest_commit().is_some_and(|age| age > late) {
            return unready("The database has not confirmed a commit for some seconds.");
        }
        if self
            .scheduler_watch()
            .age()
            .is_some_and(|age| age > late + SCHEDULER_PAUSE)
        {
            return unready("The scheduler has not looked for destinations to stream for some seconds.");
        }
        if now() - self.writer().failed_at() < UNREADY_AFTER_FAILURE {
            return unready("Events could not be written a moment ago. See the server's log for the reason.");
        }
        if let Some(reason) = continuity::closed(self) {
            return unready(format!("No sequences are given out: {reason}"));
        }
        let look = sqlx::query("SELECT 1").execute(self.database().read());
        match timeout(CHECK_LIMIT, look).await {
            Ok(looked) => Ok(looked.map(drop)?),
            Err(_) => unready("The database does not respond."),
        }
    }
}

fn unready(reason: impl Into<String>) -> Result<()> {
    Err(Error::refused(Code::Unavailable, reason))
}
