//! The addresses that a server may connect to on behalf of a user: endpoints of connectors and the
//! webhook. The server is in a network that users are not in, and must not give them access to
//! link-local addresses and the clouds' metadata services, which return the host's own credentials.
//!
//! A literal address is checked when it is saved. Names are checked on each connection, in the
//! resolver that the connection uses, because a name can resolve to another address at any time.
//! The server's own requests (its identity, AWS's public endpoints) are not checked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use auditstream_model::AccountName;
use http::Uri;

/// The policy of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Whether private addresses are permitted: this host, its networks and carrier-grade NAT.
    /// `None` permits them to the account `default` only: the admins of further accounts need not
    /// be those of the network.
    pub private: Option<bool>,
}

impl Default for EgressPolicy {
    fn default() -> Self {
        Self { private: Some(true) }
    }
}

impl EgressPolicy {
    /// Returns the policy for the endpoints and the webhook of an account.
    pub(crate) fn of(self, account: &str) -> AddressPolicy {
        let is_default = account == AccountName::default_account().as_str();
        AddressPolicy {
            private: self.private.unwrap_or(is_default),
        }
    }
}

/// The policy for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressPolicy {
    pub(crate) private: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressNotAllowed {
    ip: IpAddr,
    why: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    /// Link-local, metadata, multicast, reserved or unspecified.
    Never,
}

impl fmt::Display for AddressNotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.ip;
        match self.why {
            Kind::Private => write!(
                f,
                "{ip} is a private address, and this server does not connect to private addresses for this account \
                 (AUDITSTREAM_ENDPOINTS_PRIVATE)."
            ),
            _ => write!(
                f,
                "{ip} is a link-local, metadata or reserved address. This server never connects to those."
            ),
        }
    }
}

impl std::error::Error for AddressNotAllowed {}

impl AddressPolicy {
    pub(crate) fn check(self, ip: IpAddr) -> Result<(), AddressNotAllowed> {
        match kind(ip) {
            Kind::Never => Err(AddressNotAllowed { ip, why: Kind::Never }),
            Kind::Private if !self.private => Err(AddressNotAllowed { ip, why: Kind::Private }),
            _ => Ok(()),
        }
    }

    /// Checks the address in a URL. A URL with a name passes: names are checked when resolved.
    pub(crate) fn check_url(self, url: &Uri) -> Result<(), AddressNotAllowed> {
        literal(url).map_or(Ok(()), |ip| self.check(ip))
    }

    /// Resolves a name. A single forbidden address rejects the whole name: a DNS answer that mixes
    /// them is an attack.
    pub(crate) async fn resolve(self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let found = tokio::net::lookup_host((name, 0)).await.map_err(Unresolved::Unknown)?;
        let mut addresses = Vec::new();
        for address in found {
            self.check(address.ip()).map_err(Unresolved::AddressNotAllowed)?;
            addresses.push(address.ip());
        }
        Ok(addresses)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Unknown(io::Error),
    #[error(transparent)]
    AddressNotAllowed(AddressNotAllowed),
}

pub(crate) fn address_not_allowed(error: &(dyn std::error::Error + 'static)) -> Option<AddressNotAllowed> {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<AddressNotAllowed>() {
            return Some(*found);
        }
        if let Some(Unresolved::AddressNotAllowed(found)) = inner.downcast_ref::<Unresolved>() {
            return Some(*found);
        }
        cause = inner.source();
    }
    None
}

fn literal(url: &Uri) -> Option<IpAddr> {
    url.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn kind(ip: IpAddr) -> Kind {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) if ip.is_loopback() => Kind::Private,
        IpAddr::V6(ip) => match embedded_ipv4(ip) {
            Some(embedded) => kind_v4(embedded),
            None => kind_v6(ip),
        },
    }
}

fn kind_v4(ip: Ipv4Addr) -> Kind {
    match ip.octets() {
        // The metadata services of Azure, Oracle and Alibaba are not link-local.
        [168, 63, 129, 16] | [192, 0, 0, 192] | [100, 100, 100, 200] => Kind::Never,
        [0 | 224..=255, ..] | [169, 254, ..] => Kind::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        // Carrier-grade NAT; protocol assignments; benchmarking.
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_v6(ip: Ipv6Addr) -> Kind {
    match ip.segments() {
        // The metadata services of AWS and Google are among the private addresses.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => Kind::Never,
        [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] => Kind::Never,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

/// The IPv4 address embedded in an IPv6 one: mapped, compatible, NAT64, 6to4, Teredo.
fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] => Some(of(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        [0x2001, 0, _, _, _, _, high, low] => Some(of(!high, !low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: AddressPolicy = AddressPolicy { private: true };
    const CLOSED: AddressPolicy = AddressPolicy { private: false };

    fn refused(address_policy: AddressPolicy, url: &str) -> bool {
        let url: Uri = url.parse().unwrap();
        assert!(literal(&url).is_some(), "{url} has an address");
        address_policy.check_url(&url).is_err()
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_form() {
        for url in [
            "http://169.254.169.254/latest",
            "http://169.254.170.2:80",
            "http://168.63.129.16",
            "http://100.100.100.200",
            "http://192.0.0.192",
            "http://0.0.0.0:9000",
            "http://0.1.2.3",
            "http://224.0.0.1",
            "http://255.255.255.255",
            "http://[::]:9000",
            "http://[fe80::1]:80/",
            "http://[febf::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fd00:ec2::23]/",
            "http://[fd20:ce::254]/",
            "http://[ff02::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[64:ff9b:1::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
            "http://[2001:0:0:0:0:0:5601:5601]/",
        ] {
            assert!(refused(OPEN, url) && refused(CLOSED, url), "{url}");
        }
    }

    #[test]
    fn private_addresses_are_refused_where_the_setting_says_so() {
        for url in [
            "http://127.0.0.1:9000",
            "http://127.8.9.1",
            "http://[::1]:9000",
            "http://10.0.0.1",
            "http://172.31.255.1",
            "http://192.168.1.5",
            "http://100.64.0.1",
            "http://198.18.0.1",
            "http://[fd12:3456::1]",
            "http://[fc00::1]",
            "http://[::ffff:10.0.0.1]",
            "http://[2002:c0a8:0105::]",
        ] {
            assert!(!refused(OPEN, url) && refused(CLOSED, url), "{url}");
        }
    }

    #[test]
    fn public_addresses_are_always_reached() {
        for url in [
            "http://52.216.1.1",
            "http://172.32.0.1",
            "http://100.128.0.1",
            "http://192.0.2.1",
            "https://[2600:1f18::1]/",
            "http://[64:ff9b::34d8:101]/",
        ] {
            assert!(!refused(OPEN, url) && !refused(CLOSED, url), "{url}");
        }
        assert_eq!(literal(&Uri::from_static("https://hooks.example.com/x")), None);
    }

    #[test]
    fn private_addresses_are_for_the_default_account_unless_the_operator_decides() {
        for (private, default, other) in [
            (None, OPEN, CLOSED),
            (Some(true), OPEN, OPEN),
            (Some(false), CLOSED, CLOSED),
        ] {
            let policy = EgressPolicy { private };
            assert_eq!(
                (policy.of("default"), policy.of("other")),
                (default, other),
                "{private:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_such_an_address_is_refused() {
        // Resolvers read this as the numbers of 169.254.169.254, and no URL parser does.
        let error = OPEN.resolve("169.254.43518").await.unwrap_err();
        assert!(
            address_not_allowed(&error).is_some() && error.to_string().contains("metadata"),
            "{error}"
        );
        assert!(OPEN.resolve("localhost").await.is_ok());
        let error = CLOSED.resolve("localhost").await.unwrap_err();
        assert!(error.to_string().contains("AUDITSTREAM_ENDPOINTS_PRIVATE"), "{error}");
    }
}
