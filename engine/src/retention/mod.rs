//! Removes events that are older than the retention of their account.
//!
//! A sweep removes the oldest events of each account in small steps, one account after another, so
//! that neither ingest nor other accounts wait and the trail never has a gap. It retains the events
//! that a destination has yet to receive, including those of its current batch, even if the
//! destination is paused. A destination that was never active retains none.
//!
//! Nothing is removed while the clock is in doubt ([`clock`](crate::clock)). If more than half of a
//! trail would go at once, and elapsed time does not explain it, an admin has to confirm.
//!
//! Only a prefix of the trail is removed: the events before the first that is young enough. The
//! time of receipt does not decrease along it, except after a clock that was ahead; such receipts
//! are corrected ([`receipts`]).

mod account_setting;
mod confirm;
mod expiry;
mod months;
mod receipts;
mod remove;
mod retained;
mod settings;
mod shrink;
mod sweep;

pub use self::account_setting::{get, put};
pub use self::confirm::confirm_removal;
pub use self::remove::explained as explained_removal;
pub use self::retained::{Retained, retained};
pub use self::settings::Retention;
pub(crate) use self::sweep::start;
