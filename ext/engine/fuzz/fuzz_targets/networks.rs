//! Compares `Networks` with another computation. Input: a network, a line end, an address.
#![no_main]

use std::net::{IpAddr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use proxymachine_engine::Networks;

fuzz_target!(|input: &str| {
    let (network, ip) = input.split_once('\n').unwrap_or((input, ""));
    let networks = match Networks::parse([network]) {
        Ok(networks) => networks,
        Err(error) => return assert!(error.to_string().starts_with(&format!("{network:?} is no "))),
    };
    let (address, len) = parts(network);
    if let Ok(ip) = ip.parse() {
        assert_eq!(networks.contains(ip), is_in(ip, address, len));
    }
});

/// Returns the address of a network, and its prefix length when all addresses are written as IPv6.
fn parts(network: &str) -> (Ipv6Addr, u32) {
    let network = network.trim();
    let (address, len) = network.split_once('/').unwrap_or((network, ""));
    let address: IpAddr = address.parse().unwrap();
    match len.parse::<u32>() {
        Ok(len) if address.is_ipv4() => (as_ipv6(address), len + 96),
        len => (as_ipv6(address), len.unwrap_or(128)),
    }
}

fn is_in(ip: IpAddr, network: Ipv6Addr, len: u32) -> bool {
    let ip = as_ipv6(ip);
    // The network of mapped addresses counts as IPv4.
    let apart = ip.to_ipv4_mapped().is_some() && len < 96;
    !apart && (network.to_bits() ^ ip.to_bits()).leading_zeros() >= len
}

fn as_ipv6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}
