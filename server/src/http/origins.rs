//! Where browsers reach this server, and from where they may ask it to change something.

use std::net::{IpAddr, SocketAddr};

use axum::http::Uri;
use axum::http::uri::Authority;

/// Scheme, host and port: what a browser tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    /// In lower case; IPv6 without brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// None of `null`, which browsers send for pages that have no origin to tell.
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let secure = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        Some(Self {
            secure,
            host: plain_host(authority),
            port: port_of(authority, secure),
        })
    }
}

/// The origins of this server.
#[derive(Clone, Debug)]
pub struct Origins {
    public: Option<Origin>,
    /// The address listened on, where nobody has named a public one.
    listens: Option<IpAddr>,
}

impl Origins {
    /// The address that browsers see was named: it alone counts.
    #[must_use]
    pub fn named(public_url: &str) -> Self {
        Self {
            public: Origin::parse(public_url),
            listens: None,
        }
    }

    /// Nobody has named one: what is listened on, under the names that it has by itself.
    #[must_use]
    pub fn of_listener(url: &str, listens: SocketAddr) -> Self {
        Self {
            public: Origin::parse(url),
            listens: Some(listens.ip().to_canonical()),
        }
    }

    /// Whether a page of this origin is a page of this server. `host` is whom the request was sent to.
    ///
    /// That the two are equal proves nothing where they are names: a name may lead to this server that is not its own (DNS
    /// rebinding). Addresses, and the names of the browser's own host, lead nowhere else.
    #[must_use]
    pub fn permit(&self, origin: &str, host: Option<&str>) -> bool {
        let (Some(origin), Some(public)) = (Origin::parse(origin), &self.public) else {
            return false;
        };
        if origin == *public {
            return true;
        }
        let Some(listens) = self.listens else { return false };
        if origin.secure != public.secure {
            return false;
        }
        let here = listens.is_loopback() || listens.is_unspecified();
        if here && is_loopback(&origin.host) && origin.port == public.port {
            return true;
        }
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let is_the_same =
            host.is_some_and(|host| plain_host(&host) == origin.host && port_of(&host, origin.secure) == origin.port);
        is_the_same && (is_loopback(&origin.host) || origin.host.parse::<IpAddr>().is_ok())
    }

    /// Whether a request may have been meant for this server. One that is only reached from its own host is called by that
    /// host's names: another name was made to lead here.
    #[must_use]
    pub fn know_host(&self, host: Option<&str>) -> bool {
        let only_here = self.listens.is_some_and(|listens| listens.is_loopback());
        let Some(host) = host.filter(|_| only_here) else {
            return true;
        };
        host.parse::<Authority>()
            .is_ok_and(|host| is_loopback(&plain_host(&host)))
    }
}

fn plain_host(authority: &Authority) -> String {
    authority.host().trim_matches(['[', ']']).to_ascii_lowercase()
}

fn port_of(authority: &Authority, secure: bool) -> u16 {
    authority.port_u16().unwrap_or(if secure { 443 } else { 80 })
}

/// Whether a name or address is the one of the host that uses it.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_origin_alone_counts() {
        let origins = Origins::named("https://audit.example.com");
        for (origin, host, expected) in [
            ("https://audit.example.com", "audit.example.com", true),
            ("https://AUDIT.example.com:443", "10.0.0.7:3000", true),
            ("http://audit.example.com", "audit.example.com", false),
            ("https://audit.example.com:8443", "audit.example.com:8443", false),
            ("https://evil.example.com", "evil.example.com", false),
            ("http://localhost:3000", "localhost:3000", false),
            ("null", "audit.example.com", false),
            ("", "audit.example.com", false),
        ] {
            assert_eq!(origins.permit(origin, Some(host)), expected, "{origin} at {host}");
            assert!(origins.know_host(Some(host)), "a proxy may send any host");
        }
    }

    #[test]
    fn on_loopback_the_names_of_this_host_count_and_no_other_that_leads_here() {
        let origins = Origins::of_listener("http://127.0.0.1:3000", "127.0.0.1:3000".parse().unwrap());
        for (origin, expected) in [
            ("http://127.0.0.1:3000", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("http://localhost:3001", false),
            ("https://localhost:3000", false),
            ("http://evil.example.com:3000", false),
            ("http://localhost.evil.example.com:3000", false),
            ("null", false),
        ] {
            assert_eq!(origins.permit(origin, Some("127.0.0.1:3000")), expected, "{origin}");
        }
        let rebound = "evil.example.com:3000";
        assert!(!origins.permit("http://evil.example.com:3000", Some(rebound)));
        assert!(!origins.know_host(Some(rebound)) && !origins.know_host(Some("not a host")));
        for host in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST"] {
            assert!(origins.know_host(Some(host)), "{host}");
        }
    }

    #[test]
    fn on_every_interface_addresses_count_when_they_are_the_ones_asked() {
        let origins = Origins::of_listener("http://0.0.0.0:3000", "0.0.0.0:3000".parse().unwrap());
        for (origin, host, expected) in [
            ("http://192.168.1.5:3000", "192.168.1.5:3000", true),
            ("http://localhost:8080", "localhost:8080", true),
            ("http://localhost:3000", "192.168.1.5:3000", true),
            ("http://192.168.1.6:3000", "192.168.1.5:3000", false),
            ("http://evil.example.com:3000", "evil.example.com:3000", false),
        ] {
            assert_eq!(origins.permit(origin, Some(host)), expected, "{origin} at {host}");
        }
    }
}
