//! The engine against real parts: a SQLite file and a PostgreSQL server, each test on both, and an S3-compatible store behind
//! a proxy that can misbehave.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod connectors;
mod fairness;
mod postgres;
mod replica;
mod replicas;
mod store;
mod streaming;
mod support;
mod trail;
