//! Conditions on the members of an event.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::FieldErrors;
use crate::wire_names::wire_names;

/// Conditions of one filter.
pub const MAX_CONDITIONS: usize = 100;

wire_names! {
    /// A member of an event by which events are found. The names are those of the parameters.
    pub enum EventField {
        /// The principal's identifier.
        Principal = "principal",
        /// The principal's type.
        PrincipalType = "principal_type",
        /// The action.
        Action = "action",
        /// The module.
        Module = "module",
        /// The resource's type.
        ResourceType = "resource_type",
        /// The resource's identifier.
        Resource = "resource",
        /// The organisation.
        Org = "org",
        /// The project.
        Project = "project",
        /// The client's IP address.
        Ip = "ip",
    }
}

/// The values that a condition is met by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// The value; of an IP address, those of the network.
    Is,
    /// The values that begin with the text.
    Begins,
}

/// A condition on an event. Of several conditions on a field that are not negated, an event meets
/// one; all others it meets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The member.
    pub field: EventField,
    /// The values that meet it.
    pub test: Test,
    /// Whether other values meet it instead.
    #[serde(default)]
    pub is_negated: bool,
    /// A value, the beginning of one, or an IP address or network.
    pub value: String,
}

impl Condition {
    /// The condition that a field has a value.
    #[must_use]
    pub fn is(field: EventField, value: impl Into<String>) -> Self {
        Self {
            field,
            test: Test::Is,
            is_negated: false,
            value: value.into(),
        }
    }

    /// The name of the parameter with the condition.
    #[must_use]
    pub fn parameter(&self) -> String {
        let name = self.field.as_str();
        match (self.is_negated, self.test) {
            (false, Test::Is) => name.to_owned(),
            (false, Test::Begins) => format!("{name}_prefix"),
            (true, Test::Is) => format!("not_{name}"),
            (true, Test::Begins) => format!("not_{name}_prefix"),
        }
    }

    /// Returns the condition of a parameter; `None` if there is no such parameter.
    #[must_use]
    pub fn of_parameter(name: &str, value: &str) -> Option<Self> {
        let (rest, is_negated) = name.strip_prefix("not_").map_or((name, false), |rest| (rest, true));
        let (rest, test) = match rest.strip_suffix("_prefix") {
            Some(rest) => (rest, Test::Begins),
            None => (rest, Test::Is),
        };
        let field: EventField = rest.parse().ok()?;
        (field != EventField::Ip || test == Test::Is).then(|| Self {
            field,
            test,
            is_negated,
            value: value.to_owned(),
        })
    }

    /// Refuses the character U+0000, and what is not an IP address or network where there must be
    /// one.
    pub fn validate(&self) -> Result<(), FieldErrors> {
        if self.value.contains('\0') {
            let message = "A filter cannot contain the character U+0000.";
            return Err(FieldErrors::one(self.parameter(), message));
        }
        if self.field == EventField::Ip && Network::parse(&self.value).is_none() {
            let message = "Enter an IP address or a network, such as 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32.";
            return Err(FieldErrors::one(self.parameter(), message));
        }
        Ok(())
    }
}

/// A network of IP addresses. IPv4 addresses in their IPv6 form are IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
}

impl Network {
    /// Parses an address, or an address with the length of its network.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => {
                let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
                (address, Some(length.parse::<u32>().ok().filter(|_| is_number)?))
            }
        };
        match (address.parse::<IpAddr>().ok()?.to_canonical(), length) {
            (IpAddr::V4(address), length) => {
                let host = host_bits(length, 32)?;
                let mask = u32::MAX.checked_shr(32 - host).unwrap_or(0);
                Some(Self {
                    first: IpAddr::V4((address.to_bits() & !mask).into()),
                    last: IpAddr::V4((address.to_bits() | mask).into()),
                })
            }
            (IpAddr::V6(address), length) => {
                let host = host_bits(length, 128)?;
                let mask = u128::MAX.checked_shr(128 - host).unwrap_or(0);
                Some(Self {
                    first: IpAddr::V6((address.to_bits() & !mask).into()),
                    last: IpAddr::V6((address.to_bits() | mask).into()),
                })
            }
        }
    }

    /// Whether an address belongs to the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }
}

/// The bits of an address that are free in a network.
fn host_bits(length: Option<u32>, bits: u32) -> Option<u32> {
    bits.checked_sub(length.unwrap_or(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        let contains =
            |network: &str, address: &str| Network::parse(network).unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("10.1.2.3", "10.1.2.3") && !contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("10.1.2.3/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(contains("::/0", "ffff::"));
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "AWS Internal",
            "::/129",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn conditions_have_parameters() {
        for name in [
            "principal",
            "not_resource",
            "resource_prefix",
            "not_org_prefix",
            "ip",
            "not_ip",
            "principal_type",
        ] {
            assert_eq!(Condition::of_parameter(name, "10.0.0.1").unwrap().parameter(), name);
        }
        for name in ["ip_prefix", "q", "not_q", "not_not_org", "prefix"] {
            assert_eq!(Condition::of_parameter(name, "x"), None, "{name}");
        }
        assert!(Condition::is(EventField::Ip, "everywhere").validate().is_err());
    }
}
