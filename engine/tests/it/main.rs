//! The engine against real parts: a SQLite file and a PostgreSQL server, each test on both, and an
//! S3 stand-in behind a proxy that can misbehave.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "tests")]

mod access;
mod ahead;
mod audit;
mod batch_history;
mod batch_settings;
mod begins_to_fail;
mod bucket;
mod child;
mod clocks;
mod connectors;
mod crash;
mod credentials;
mod database_unavailable;
mod delivery;
mod disconnected;
mod egress_policy;
mod event_ids;
mod fairness;
mod faults;
mod index;
mod keys;
mod kills;
mod model;
mod numbering;
mod panics;
mod partitions;
mod plans;
mod preconditions;
mod properties;
mod relocation;
mod replica;
mod replicas;
mod reports;
mod restores;
mod retention;
mod search;
mod segments;
mod silent_database;
mod statements;
mod streaming;
mod supervision;
mod support;
mod trail;
mod webhook;
