//! The commands. All but `serve` can run while a server is running.
//!
//! - [`serve`]: start and stop the server
//! - [`account`], [`token`], [`user`], [`key`]: manage accounts, API tokens, users and keys

pub mod account;
pub mod key;
pub mod serve;
pub mod token;
pub mod user;
