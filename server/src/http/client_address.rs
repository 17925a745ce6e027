//! Who asks: the other end of the connection, or whom a proxy that is known speaks for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{FORWARDED, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

use crate::state::AppState;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose word is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[IpNet]>);

/// The address of who asks, beside every request.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Puts the [`ClientAddress`] beside a request.
pub async fn recognise(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = state.proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

impl Proxies {
    /// Addresses and blocks, with commas between them.
    ///
    /// # Errors
    /// One is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let block = |part: &str| {
            let address = || part.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical()));
            part.parse::<IpNet>()
                .or_else(|_| address())
                .map_err(|_| format!("“{part}” is neither an address nor a block such as 10.0.0.0/8"))
        };
        parts.map(block).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|block| block.contains(&ip))
    }

    /// Whom a connection is for: its peer or, while that is a proxy of ours, whom the proxy names. Each proxy adds who came
    /// to it at the end, so that the last one that is no proxy of ours is the first that nobody can make up. Behind a word that is
    /// no address nothing is believed.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let named = if headers.contains_key(X_FORWARDED_FOR) {
            all_of(headers, &X_FORWARDED_FOR)
        } else {
            let elements = all_of(headers, &FORWARDED);
            elements.into_iter().map(|element| for_of(&element)).collect()
        };
        let mut named = named.iter().rev();
        while self.contain(client) {
            match named.next().and_then(|word| address(word)) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// The elements of a header that is a list, over all its lines; those that are no text are none.
fn all_of(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    let lines = lines.map(|line| line.to_str().unwrap_or_default());
    lines
        .flat_map(|line| line.split(','))
        .map(|element| element.trim().to_owned())
        .collect()
}

/// The `for` of an element of `Forwarded` (RFC 7239); empty when it has none.
fn for_of(element: &str) -> String {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    named
        .next()
        .map(|(_, value)| value.trim_matches('"').to_owned())
        .unwrap_or_default()
}

/// An address with or without a port.
fn address(word: &str) -> Option<IpAddr> {
    let with_port = || word.parse::<SocketAddr>().map(|address| address.ip()).ok();
    let bare = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'))
        .unwrap_or(word);
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
    fn nobody_is_believed_who_is_not_named() {
        let sent = [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=203.0.113.9")];
        assert_eq!(client("", "127.0.0.1", &sent), "127.0.0.1");
        assert_eq!(client("10.0.0.0/8", "192.0.2.7", &sent), "192.0.2.7");
        assert_eq!(client("10.0.0.0/8", "::ffff:192.0.2.7", &sent), "192.0.2.7");
    }

    #[test]
    fn the_last_address_that_is_not_a_proxy_is_believed() {
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
                vec![("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=6.6.6.6")],
                "203.0.113.9",
            ),
        ] {
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &sent), expected, "{sent:?}");
            assert_eq!(client("10.0.0.0/8", "::ffff:10.0.0.1", &sent), expected, "{sent:?}");
        }
    }

    #[test]
    fn behind_a_word_that_is_no_address_nothing_is_believed() {
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
    fn proxies_are_addresses_and_blocks() {
        assert!(Proxies::parse("10.0.0.1, 192.168.0.0/16,::1").is_ok() && Proxies::parse(" ").is_ok());
        for wrong in ["proxy.example.com", "10.0.0.0/33", "10.0.0.1;10.0.0.2"] {
            assert!(Proxies::parse(wrong).is_err(), "{wrong}");
        }
    }
}
