//! The clocks of stores, which confirm the clock of this server.

use std::net::IpAddr;

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use http::Uri;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::database::Clock;

/// Reads the time of each response of a store.
#[derive(Debug)]
pub(super) struct ClockWitness {
    clock: Clock,
}

impl ClockWitness {
    /// `None` for a store on this host, which has the same clock.
    pub(super) fn of(clock: &Clock, endpoint: Option<&str>) -> Option<Self> {
        let is_remote = endpoint.is_none_or(is_remote);
        is_remote.then(|| Self { clock: clock.clone() })
    }
}

impl Intercept for ClockWitness {
    fn name(&self) -> &'static str {
        "ClockWitness"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        static DATES: DateTimeParser = DateTimeParser::new();
        let date = context.response().headers().get("date");
        if let Some(date) = date.and_then(|date| DATES.parse_timestamp(date).ok()) {
            self.clock.witness(date.as_millisecond());
        }
        Ok(())
    }
}

fn is_remote(endpoint: &str) -> bool {
    let Some(host) = endpoint
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned))
    else {
        return false;
    };
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host != "localhost", |ip| !ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_on_this_host_has_the_same_clock() {
        for (endpoint, remote) in [
            ("https://s3.example.com", true),
            ("http://10.0.0.7:9000", true),
            ("http://localhost:9000", false),
            ("http://127.0.0.1:9000", false),
            ("http://[::1]:9000", false),
            ("not an address", false),
        ] {
            assert_eq!(is_remote(endpoint), remote, "{endpoint}");
        }
        assert!(ClockWitness::of(&Clock::default(), None).is_some());
    }
}
