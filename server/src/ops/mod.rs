//! What operators ask of the server: health and metrics.

pub mod health;
pub mod metrics;
