//! Stand-ins and data that the tests and benchmarks of several crates share. A development
//! dependency only: no part of it reaches the binary.
//!
//! - [`s3`]: an S3 stand-in whose objects are files, with faults of the store and of the network
//! - [`sts`]: a stand-in for AWS STS that checks signatures, roles and external ids
//! - [`postgres`]: a PostgreSQL server that ends with the tests
//! - [`tcp_proxy`]: a proxy whose connections go silent, lose answers or are cut
//! - [`events`]: recorded audit events, and the schema that they follow
//! - [`responder`]: a server that responds as a test says
//! - [`line`]: a line that can be slow or go silent
//! - [`raw_http`]: HTTP/1.1 as bytes, for stand-ins that break connections
//! - [`wait`]: waits that a slow machine does not end
#![allow(
    clippy::unwrap_used,
    reason = "a stand-in that panics has failed its test, which is what it is for"
)]

pub mod events;
pub mod line;
pub mod postgres;
pub mod raw_http;
pub mod responder;
pub mod s3;
pub mod sts;
pub mod tcp_proxy;
pub mod wait;
