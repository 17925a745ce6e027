//! Where addresses that people type may lead: the endpoints of connectors and the webhook's. This server stands where they do
//! not, and must not be their way to what is kept for hosts alone: link-local addresses and the clouds' metadata, which hand
//! out the host's own credentials.
//!
//! What is typed is checked when it is saved, and what it leads to each time that a connection is made, in the very
//! resolver that the connection uses: a name may get another address at any time. What this server itself asks (its
//! identity, AWS's own addresses) is not checked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Which addresses may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Whether private ones may: this host, its networks and those behind a carrier's NAT.
    pub private: bool,
}

impl Default for EgressPolicy {
    fn default() -> Self {
        Self { private: true }
    }
}

/// An address that is not spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressNotAllowed {
    ip: IpAddr,
    why: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    /// Link-local, metadata, multicast, reserved, none at all.
    Never,
}

impl fmt::Display for AddressNotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.ip;
        match self.why {
            Kind::Private => write!(
                f,
                "{ip} is a private address, which this server is set not to speak to (AUDITSTREAM_ENDPOINTS_PRIVATE)."
            ),
            _ => write!(
                f,
                "{ip} is a link-local, metadata or reserved address, to which nothing is sent."
            ),
        }
    }
}

impl std::error::Error for AddressNotAllowed {}

impl EgressPolicy {
    /// # Errors
    /// The address is not to be spoken to.
    pub(crate) fn check(self, ip: IpAddr) -> Result<(), AddressNotAllowed> {
        match kind(ip) {
            Kind::Never => Err(AddressNotAllowed { ip, why: Kind::Never }),
            Kind::Private if !self.private => Err(AddressNotAllowed { ip, why: Kind::Private }),
            _ => Ok(()),
        }
    }

    /// Checks an URL that has an address in it. What a name leads to is known when it is resolved.
    ///
    /// # Errors
    /// The address is not to be spoken to.
    pub(crate) fn check_url(self, url: &Uri) -> Result<(), AddressNotAllowed> {
        literal(url).map_or(Ok(()), |ip| self.check(ip))
    }

    /// Where a name leads. One address that is out of reach refuses the name: whoever answers for it means no good.
    ///
    /// # Errors
    /// The system's resolver does not know the name; [`AddressNotAllowed`].
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

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    /// The system's resolver has no answer.
    #[error(transparent)]
    Unknown(io::Error),
    /// Its answer is not to be spoken to.
    #[error(transparent)]
    AddressNotAllowed(AddressNotAllowed),
}

/// The refusal at the bottom of a failed call.
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

/// The address in an URL that has no name in it.
fn literal(url: &Uri) -> Option<IpAddr> {
    url.host()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn kind(ip: IpAddr) -> Kind {
    match ip {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) if ip.is_loopback() => Kind::Private,
        IpAddr::V6(ip) => match carried(ip) {
            Some(carried) => kind_v4(carried),
            None => kind_v6(ip),
        },
    }
}

fn kind_v4(ip: Ipv4Addr) -> Kind {
    match ip.octets() {
        // Azure's, Oracle's and Alibaba's metadata are not link-local.
        [168, 63, 129, 16] | [192, 0, 0, 192] | [100, 100, 100, 200] => Kind::Never,
        [0 | 224..=255, ..] | [169, 254, ..] => Kind::Never,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] => Kind::Private,
        // Carriers' NAT; protocols' own; networks for measurements.
        [100, 64..=127, ..] | [192, 0, 0, _] | [198, 18..=19, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

fn kind_v6(ip: Ipv6Addr) -> Kind {
    match ip.segments() {
        // AWS's own block in the private ones, and Google's address.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => Kind::Never,
        [0xfe80..=0xfebf, ..] | [0xff00..=0xffff, ..] => Kind::Never,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Kind::Private,
        _ => Kind::Public,
    }
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, NAT64, 6to4, Teredo.
fn carried(ip: Ipv6Addr) -> Option<Ipv4Addr> {
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

    const OPEN: EgressPolicy = EgressPolicy { private: true };
    const CLOSED: EgressPolicy = EgressPolicy { private: false };

    fn refused(egress_policy: EgressPolicy, url: &str) -> bool {
        let url: Uri = url.parse().unwrap();
        assert!(literal(&url).is_some(), "{url} has an address");
        egress_policy.check_url(&url).is_err()
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

    #[tokio::test]
    async fn a_name_that_leads_to_such_an_address_is_refused() {
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
