//! Troubles that people reported about similar systems. Each test bears the name of its kind.

mod clock_was_ahead_once;
mod host_identity;
mod ingest;
mod names;
mod not_s3;
mod pgbouncer;
mod search_escaped_json;
mod unconditional;
mod webhook_behind_proxy;
