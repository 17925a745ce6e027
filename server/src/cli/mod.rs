//! The commands. All but `serve` can run while a server is running.

pub mod account;
pub mod backup;
pub mod key;
pub mod restore;
pub mod serve;
pub mod token;
pub mod user;
