//! Decides if the clock of this server can be trusted.
//!
//! The removal of old events cannot be undone and depends on the time. A clock that is years
//! ahead would remove the whole trail. It is therefore compared with everything that is known about
//! the time:
//!
//! - the latest time that was trusted, which the servers keep in the database and advance while
//!   they run, plus the time that has elapsed since by the monotonic clock;
//! - the clock of PostgreSQL;
//! - the newest receipt of an event, until a first time is trusted.
//!
//! A clock that was set has to run evenly for some minutes. After a long stop the time is ahead of
//! the latest trusted one, as it should be; it is trusted once an independent clock shows the same,
//! that of PostgreSQL or of an S3 store on another host, or once an admin confirms it.

mod confirm;
mod judgement;
mod watch;

pub use self::confirm::{confirm, status};
pub(crate) use self::judgement::Judgement;
pub(crate) use self::watch::{Watch, Watched, look};
