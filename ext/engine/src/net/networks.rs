//! Networks of IP addresses, such as the trusted proxies of a listener.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks in CIDR notation. A single address is a network of its own.
///
/// An IPv4-mapped IPv6 address counts as IPv4, since a listener for both families sees its IPv4 peers as mapped
/// addresses.
///
/// ```
/// use proxymachine_engine::Networks;
/// let trusted = Networks::parse(["10.0.0.0/8", "::1"]).unwrap();
/// assert!(trusted.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!trusted.contains("192.0.2.1".parse().unwrap()));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Box<[IpNet]>);

/// A text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no IP address and no network such as \"10.0.0.0/8\"")]
pub struct InvalidNetwork(String);

impl Networks {
    /// Parses one network from each text. Blanks around it are ignored.
    ///
    /// # Errors
    /// The first text that is not a network.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let network = |text| parse_network(text).ok_or_else(|| InvalidNetwork(text.to_owned()));
        texts.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// Tells whether `ip` is in one of the networks.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// Parses the address with the standard library: ipnet would accept "010.0.0.0", which other programs read as octal.
fn parse_network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u8 = match prefix {
        None => longest,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    if prefix > longest {
        return None;
    }
    // The last 32 bits of a mapped address are the IPv4 address.
    match (address.to_canonical(), prefix.checked_sub(longest - 32)) {
        (ip @ IpAddr::V4(_), Some(prefix)) => IpNet::new(ip, prefix).ok(),
        _ => IpNet::new(address, prefix).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, ip: &str) -> bool {
        Networks::parse([network]).unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_network_contains_its_addresses() {
        assert!(contains("10.0.0.0/8", "10.255.255.255"));
        assert!(!contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("192.168.0.0/16", "192.168.3.4"));
        assert!(!contains("192.168.0.0/16", "192.169.0.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.5"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!contains("2001:db8::/32", "2001:db9::"));
    }

    #[test]
    fn an_address_contains_only_itself() {
        assert!(contains("::1", "::1"));
        assert!(!contains("::1", "::2"));
        assert!(contains("192.0.2.1", "192.0.2.1"));
        assert!(!contains("192.0.2.1", "192.0.2.2"));
    }

    #[test]
    fn host_bits_of_a_network_are_ignored() {
        assert!(contains("10.1.2.3/8", "10.9.9.9"));
    }

    #[test]
    fn blanks_around_a_network_are_ignored() {
        assert!(contains(" 10.0.0.0/8\n", "10.0.0.1"));
    }

    #[test]
    fn a_mapped_address_counts_as_ipv4() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!contains("10.0.0.0/8", "::ffff:11.1.2.3"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert!(!contains("::ffff:10.0.0.0/104", "11.1.2.3"));
        assert!(contains("::ffff:192.0.2.1", "192.0.2.1"));
    }

    #[test]
    fn networks_of_the_two_families_are_disjoint() {
        for ip in ["10.0.0.1", "::ffff:10.0.0.1"] {
            assert!(!contains("::/0", ip), "{ip}");
        }
        assert!(!contains("0.0.0.0/0", "::1"));
    }

    #[test]
    fn all_networks_are_searched() {
        let networks = Networks::parse(["10.0.0.0/8", "::1"]).unwrap();
        assert!(networks.contains("10.0.0.1".parse().unwrap()));
        assert!(networks.contains("::1".parse().unwrap()));
        assert!(!networks.contains("192.0.2.1".parse().unwrap()));
        assert!(!Networks::default().contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_error_names_an_invalid_network() {
        let texts = [
            "",
            "name",
            "10.0.0.0/33",
            "::/129",
            "::ffff:10.0.0.0/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "10.0.0/8",
            "010.0.0.0/8",
            "10.0.0.0 /8",
            "10.0.0.0/256",
            "fe80::1%eth0",
            "10.0.0.0/255.0.0.0",
        ];
        for text in texts {
            let error = Networks::parse(["::1", text]).unwrap_err();
            let expected = format!("{text:?} is no IP address and no network such as \"10.0.0.0/8\"");
            assert_eq!(error.to_string(), expected);
        }
    }
}
