//! The commands. All but `serve`, `migrate` and `restore FILE` can run while a server is running.

pub mod account;
pub mod backup;
pub mod destinations;
pub mod doctor;
pub mod events;
pub mod key;
pub mod migrate;
mod output;
pub mod restore;
pub mod search_index;
pub mod serve;
mod signals;
pub mod token;
pub mod user;
pub mod verify;
