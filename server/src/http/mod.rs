//! HTTP, shared by the API, the console and the operator's routes. Knows neither their routes nor
//! the server's state: each middleware and extractor takes only the part of the state that it
//! needs.

mod activity;
pub mod arrived_body;
pub mod body_encoding;
pub mod body_limit;
pub mod client_address;
mod connection_limits;
pub mod connections;
pub mod csrf;
pub mod etag;
mod exchange;
pub mod extract;
pub mod json;
pub mod origins;
pub mod pagination;
pub mod problem;
pub mod request_id;
pub mod response_memory;
pub mod security_headers;
mod timed_stream;
pub mod tls;
