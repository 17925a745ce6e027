//! The parts of HTTP that the API and the console share.

pub mod body_limit;
pub mod client_address;
pub mod connections;
pub mod etag;
pub mod extract;
pub mod origins;
pub mod pagination;
pub mod problem;
pub mod protection;
pub mod tls;
