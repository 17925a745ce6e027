//! The engine against real parts: a SQLite file, and an S3-compatible store behind a proxy that can misbehave.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod bucket;
mod connectors;
mod credentials;
mod faults;
mod streaming;
mod sts;
mod support;
mod trail;
mod wire;
