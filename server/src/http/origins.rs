//! The origins of this server: the addresses at which browsers reach it.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    secure: bool,
    /// In lower case; IPv6 without brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// `None` for `null`, which browsers send on behalf of pages with an opaque origin.
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
    /// The address listened on, if no public URL is configured.
    listens: Option<IpAddr>,
}

impl Origins {
    /// The one origin of a server whose public URL is configured.
    #[must_use]
    pub fn of_public_url(public_url: &str) -> Self {
        Self {
            public: Origin::parse(public_url),
            listens: None,
        }
    }

    /// The origins of a server without a public URL: the listen address, under its inherent names.
    #[must_use]
    pub fn of_listener(url: &str, listens: SocketAddr) -> Self {
        Self {
            public: Origin::parse(url),
            listens: Some(listens.ip().to_canonical()),
        }
    }

    /// Whether a page of this origin is a page of this server. `host` is the request's [`host_of`].
    ///
    /// Equality of the two proves nothing if they are names: a foreign name may resolve to this
    /// server (DNS rebinding). IP addresses and loopback names cannot be rebound.
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
        let serves_loopback = listens.is_loopback() || listens.is_unspecified();
        if serves_loopback && is_loopback(&origin.host) && origin.port == public.port {
            return true;
        }
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let same_host =
            host.is_some_and(|host| plain_host(&host) == origin.host && port_of(&host, origin.secure) == origin.port);
        same_host && (is_loopback(&origin.host) || origin.host.parse::<IpAddr>().is_ok())
    }

    /// Whether a request may have been meant for this server. A server that listens on loopback
    /// only is addressed by loopback names; any other name was rebound to it.
    #[must_use]
    pub fn accept_host(&self, host: Option<&str>) -> bool {
        let loopback_only = self.listens.is_some_and(|listens| listens.is_loopback());
        let Some(host) = host.filter(|_| loopback_only) else {
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

/// The host that a request was sent to; empty if it is not text, which matches no known host.
pub(super) fn host_of<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    match headers.get(HOST) {
        Some(host) => Some(host.to_str().unwrap_or_default()),
        None => uri.authority().map(|host| host.as_str()),
    }
}

/// Whether a name or address is `localhost` or a loopback address.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_url_is_an_origin_of_the_server() {
        let origins = Origins::of_public_url("https://audit.example.com");
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
            assert!(origins.accept_host(Some(host)), "a proxy may send any host");
        }
    }

    #[test]
    fn on_loopback_only_loopback_names_are_permitted() {
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
        assert!(!origins.accept_host(Some(rebound)) && !origins.accept_host(Some("not a host")));
        for host in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST"] {
            assert!(origins.accept_host(Some(host)), "{host}");
        }
    }

    #[test]
    fn on_every_interface_an_address_is_permitted_if_the_request_was_sent_to_it() {
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
