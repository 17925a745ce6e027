//! The client's address: the peer of the connection, or the address that trusted proxies report.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{FORWARDED, HeaderName};
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies that are trusted to name the client, and the header in which they do it.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    blocks: Arc<[IpNet]>,
    header: Option<ForwardingHeader>,
}

/// A header in which proxies name the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ForwardingHeader {
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `Forwarded` (RFC 7239)
    Forwarded,
}

#[derive(Clone, Copy, Debug)]
struct ClientAddress(IpAddr);

/// Finds the client's address of each request, for [`client_ip`].
pub async fn resolve(State(proxies): State<Proxies>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// The client's address as text; empty outside of a connection.
#[must_use]
pub fn client_ip(extensions: &Extensions) -> String {
    extensions
        .get::<ClientAddress>()
        .map(|address| address.0.to_string())
        .unwrap_or_default()
}

/// The network of the client as text, for limits: its address, or the /64 block of an IPv6
/// address, of which clients have many. Empty outside of a connection.
#[must_use]
pub fn client_network(extensions: &Extensions) -> String {
    let address = extensions.get::<ClientAddress>();
    address
        .map(|address| network(address.0).to_string())
        .unwrap_or_default()
}

/// The address itself, or the first address of the /64 block of an IPv6 address.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
    }
}

impl Proxies {
    /// Parses addresses and blocks, separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let block = |part: &str| {
            let address = || part.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
            part.parse::<IpNet>()
                .or_else(|_| address())
                .map_err(|_| format!("“{part}” is neither an address nor a block such as 10.0.0.0/8"))
        };
        let blocks = parts.map(block).collect::<Result<_, _>>()?;
        Ok(Self { blocks, header: None })
    }

    /// The same proxies, which write this header. If it is `None`, either header is read, and
    /// neither is believed if both are there and name different clients: one of them was written by
    /// the client.
    #[must_use]
    pub fn writing(self, header: Option<ForwardingHeader>) -> Self {
        Self { header, ..self }
    }

    /// Whether an address belongs to a trusted proxy.
    #[must_use]
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.blocks.iter().any(|block| block.contains(&ip))
    }

    /// The client of a connection.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        let named = |header: ForwardingHeader| self.first_stranger(peer, &header.addresses(headers));
        if let Some(header) = self.header {
            return named(header);
        }
        let has_both = headers.contains_key(X_FORWARDED_FOR) && headers.contains_key(FORWARDED);
        let (old, new) = (
            named(ForwardingHeader::XForwardedFor),
            named(ForwardingHeader::Forwarded),
        );
        match (has_both, headers.contains_key(X_FORWARDED_FOR)) {
            (false, true) => old,
            (false, false) => new,
            (true, _) if old == new => old,
            (true, _) => {
                warn_about_contradiction();
                peer
            }
        }
    }

    /// Each proxy appends the address of its peer, so the last address that is not a trusted proxy
    /// is the first one that cannot be forged. Reading stops at an element that is not an address.
    fn first_stranger(&self, peer: IpAddr, named: &[String]) -> IpAddr {
        let mut client = peer;
        let mut named = named.iter().rev();
        while self.contain(client) {
            match named.next().and_then(|element| address(element)) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

impl ForwardingHeader {
    /// The elements that should be addresses, those of the nearest proxy last.
    fn addresses(self, headers: &HeaderMap) -> Vec<String> {
        match self {
            Self::XForwardedFor => elements(headers, &X_FORWARDED_FOR),
            Self::Forwarded => {
                let elements = elements(headers, &FORWARDED);
                elements.iter().map(|element| for_parameter(element)).collect()
            }
        }
    }
}

fn warn_about_contradiction() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            "requests arrive with X-Forwarded-For and Forwarded headers that name different clients, so neither is \
             believed: set AUDITSTREAM_FORWARDED_HEADER to the one that your proxy writes"
        );
    });
}

/// The elements of a list header, over all its lines; a line that is not text is one empty element.
fn elements(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    let lines = lines.map(|line| line.to_str().unwrap_or_default());
    lines
        .flat_map(|line| line.split(','))
        .map(|element| element.trim().to_owned())
        .collect()
}

/// The `for` parameter of an element of `Forwarded` (RFC 7239); empty if it has none.
fn for_parameter(element: &str) -> String {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    values
        .next()
        .map(|(_, value)| value.trim_matches('"').to_owned())
        .unwrap_or_default()
}

fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip()).ok();
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let proxies = Proxies::parse(proxies).unwrap();
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            sent.append(*name, value.parse().unwrap());
        }
        proxies.client(peer.parse().unwrap(), &sent).to_string()
    }

    #[test]
    fn headers_of_an_untrusted_peer_are_ignored() {
        let sent = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(client("", "127.0.0.1", &sent), "127.0.0.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.7", &sent), "192.0.2.7");
        assert_eq!(client("10.0.0.0/8", "::ffff:192.0.2.7", &sent), "192.0.2.7");
    }

    #[test]
    fn the_last_address_that_is_not_a_proxy_is_the_client() {
        for (sent, expected) in [
            (vec![("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            (
                vec![("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.1.1.1")],
                "203.0.113.9",
            ),
            (
                vec![("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "203.0.113.9")],
                "203.0.113.9",
            ),
            (vec![("x-forwarded-for", "203.0.113.9:4711")], "203.0.113.9"),
            (vec![("x-forwarded-for", "[2001:db8::1]:4711")], "2001:db8::1"),
            (vec![("x-forwarded-for", "::ffff:203.0.113.9")], "203.0.113.9"),
            (vec![("x-forwarded-for", "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
            (
                vec![("forwarded", "for=203.0.113.9;proto=https, For=10.1.1.1")],
                "203.0.113.9",
            ),
            (
                vec![("forwarded", "proto=https;for=\"[2001:db8::1]:4711\"")],
                "2001:db8::1",
            ),
            (
                vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")],
                "203.0.113.9",
            ),
        ] {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &sent), expected, "{sent:?}");
            assert_eq!(client("10.0.0.0/8", "::ffff:10.0.0.1", &sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn reading_stops_at_an_element_that_is_not_an_address() {
        for (sent, expected) in [
            (vec![], "10.0.0.1"),
            (vec![("x-forwarded-for", "")], "10.0.0.1"),
            (vec![("x-forwarded-for", "6.6.6.6, unknown")], "10.0.0.1"),
            (vec![("x-forwarded-for", "6.6.6.6, unknown, 10.1.1.1")], "10.1.1.1"),
            (vec![("forwarded", "for=6.6.6.6, for=_hidden")], "10.0.0.1"),
            (vec![("forwarded", "by=6.6.6.6")], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn of_two_headers_that_contradict_each_other_only_the_configured_one_is_believed() {
        let sent = [("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &sent), "10.0.0.1");
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(name, value.parse().unwrap());
        }
        for (header, expected) in [
            (ForwardingHeader::Forwarded, "203.0.113.9"),
            (ForwardingHeader::XForwardedFor, "6.6.6.6"),
        ] {
            let proxies = Proxies::parse("10.0.0.0/8").unwrap().writing(Some(header));
            let client = proxies.client("10.0.0.1".parse().unwrap(), &headers);
            assert_eq!(client.to_string(), expected, "{header:?}");
        }
    }

    #[test]
    fn proxies_are_addresses_or_blocks() {
        assert!(Proxies::parse("10.0.0.1, 192.168.0.0/16,::1").is_ok() && Proxies::parse(" ").is_ok());
        for invalid in ["proxy.example.com", "10.0.0.0/33", "10.0.0.1;10.0.0.2"] {
            assert!(Proxies::parse(invalid).is_err(), "{invalid}");
        }
    }
}
