//! The commands. All but `serve` can run while a server is running.

pub mod account;
pub mod key;
pub mod serve;
pub mod token;
pub mod user;
