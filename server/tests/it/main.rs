//! The whole server, as programs and browsers meet it.
//!
//! - [`app`]: starts it on a free port with data of its own
//! - [`ingest`], [`auth`], [`api`], [`versions`], [`reference_client`], [`console`]: requests
//! - [`matrix`]: everything, asked by everybody; [`sign_in`] against misuse
//! - [`security`]: what other sites, proxies and attackers send; [`tls`] of its own
//! - [`routes`], [`openapi`]: every route, and what is said of it
//! - [`docs`]: the documentation that is rendered from the command line
//! - [`pages`]: rendering while other servers start
//! - [`process`]: the binary itself
//! - [`replicas`]: several of it on one PostgreSQL
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod api;
mod app;
mod auth;
mod console;
mod docs;
mod ingest;
mod matrix;
mod metrics;
mod openapi;
mod pages;
mod pressure;
mod process;
mod reference_client;
mod replicas;
mod routes;
mod security;
mod sign_in;
mod tls;
mod versions;
