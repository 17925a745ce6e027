//! One module for each screen.

pub mod access;
pub mod audit_trail;
pub mod connectors;
mod flash;
mod not_found;
mod one_time_link;
mod retention;
mod settings;
mod sign_in;

pub use not_found::NotFound;
pub use one_time_link::{Invitation, Setup};
pub use retention::Retention;
pub use settings::Settings;
pub use sign_in::SignIn;
