//! The complete server, as programs and browsers use it.
//!
//! - [`app`]: starts a server on a free port with separate data
//! - [`ingest`], [`auth`], [`api`], [`versions`], [`reference_client`], [`console`]: requests
//! - [`matrix`]: every route as every kind of caller
//! - [`sign_in`], [`security`], [`pressure`]: misuse, attacks and overload
//! - [`memory`], [`slow_readers`]: the memory that attacks and slow clients may take
//! - [`tls`]: built-in TLS
//! - [`metrics`]: the metrics and their access control
//! - [`routes`], [`openapi`]: every route and its description
//! - [`docs`]: the documentation that is rendered from the command line
//! - [`pages`]: rendering while other servers start
//! - [`process`], [`doctor`], [`events`], [`destinations`], [`migrate`], [`verify`]: the binary as
//!   a process
//! - [`stop`], [`request_ids`]: stopping, and the ids of requests
//! - [`replicas`]: several servers with one PostgreSQL
//! - [`reports`]: troubles that people reported about similar systems
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod api;
mod app;
mod auth;
mod batch_settings;
mod console;
mod destinations;
mod docs;
mod doctor;
mod events;
mod ingest;
mod matrix;
mod memory;
mod metrics;
mod migrate;
mod openapi;
mod pages;
mod pressure;
mod process;
mod reference_client;
mod replicas;
mod reports;
mod request_ids;
mod restores;
mod routes;
mod security;
mod sign_in;
mod slow_readers;
mod stop;
mod tls;
mod verify;
mod versions;
