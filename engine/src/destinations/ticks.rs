//! The ticks of a destination: the multiples of its interval since 1970, at which its runs begin.

use std::time::Duration;

use auditstream_model::EpochMillis;

use crate::Engine;
use crate::database::now;

/// Returns the next tick, epoch ms; `None` is the interval of the server.
pub(crate) fn next_tick(engine: &Engine, interval_seconds: Option<u32>) -> EpochMillis {
    let own = interval_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let interval = own.unwrap_or(engine.stream_interval());
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    (now() / interval).saturating_add(1).saturating_mul(interval)
}
