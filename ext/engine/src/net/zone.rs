//! Zones of link-local IPv6 addresses (RFC 4007): `fe80::1%eth0`.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::net::sys::{interface_index, interface_name};

/// Formats the IP address of a socket address, with its zone if it has one.
pub struct IpWithZone(pub SocketAddr);

impl fmt::Display for IpWithZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.0.ip();
        match self.0 {
            SocketAddr::V6(address) if address.scope_id() != 0 => match interface_name(address.scope_id()) {
                Some(name) => write!(f, "{ip}%{name}"),
                None => write!(f, "{ip}%{}", address.scope_id()),
            },
            _ => write!(f, "{ip}"),
        }
    }
}

/// Parses `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`. A link-local IPv6 address may have a zone: the name or
/// the index of an interface of this machine.
#[must_use]
pub fn parse_socket_addr(text: &str) -> Option<SocketAddr> {
    let Some((start, rest)) = text.split_once('%') else { return parse_without_zone(text) };
    // The zone ends where the address does.
    let (zone, end) = match rest.find(']') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let SocketAddr::V6(address) = parse_without_zone(&format!("{start}{end}"))? else { return None };
    let index = zone.parse().ok().filter(|_| zone.bytes().all(|byte| byte.is_ascii_digit()));
    let index = index.filter(|index| *index != 0).or_else(|| interface_index(zone))?;
    address
        .ip()
        .is_unicast_link_local()
        .then(|| SocketAddrV6::new(*address.ip(), address.port(), 0, index).into())
}

fn parse_without_zone(text: &str) -> Option<SocketAddr> {
    let ip: Result<IpAddr, _> =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse();
    ip.map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_with_and_without_port() {
        for (text, expected) in [
            ("1.2.3.4", "1.2.3.4:0"),
            ("1.2.3.4:5", "1.2.3.4:5"),
            ("::1", "[::1]:0"),
            ("[::1]", "[::1]:0"),
            ("[::1]:5", "[::1]:5"),
            ("fe80::1%7", "[fe80::1%7]:0"),
            ("[fe80::1%7]", "[fe80::1%7]:0"),
            ("[fe80::1%7]:5", "[fe80::1%7]:5"),
        ] {
            assert_eq!(parse_socket_addr(text), Some(expected.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "x",
            "1.2.3.4%1",
            "::1%1",
            "fe80::1%",
            "fe80::1%0",
            "fe80::1%no-such-one",
            "%1",
            "[fe80::1%1",
        ] {
            assert_eq!(parse_socket_addr(text), None, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_zone_is_the_name_of_an_interface() {
        let Some(index) = interface_index("lo") else { return };
        let address = parse_socket_addr("[fe80::1%lo]:5").unwrap();
        assert_eq!(address, SocketAddrV6::new("fe80::1".parse().unwrap(), 5, 0, index).into());
        assert_eq!(IpWithZone(address).to_string(), "fe80::1%lo");
    }

    #[test]
    fn an_address_without_a_zone_is_formatted_as_it_is() {
        assert_eq!(IpWithZone("[::1]:80".parse().unwrap()).to_string(), "::1");
        assert_eq!(IpWithZone("1.2.3.4:80".parse().unwrap()).to_string(), "1.2.3.4");
        assert_eq!(IpWithZone("[fe80::1%4294967295]:80".parse().unwrap()).to_string(), "fe80::1%4294967295");
    }
}
