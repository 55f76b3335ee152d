//! Version 1: `PROXY TCP4 192.0.2.1 192.0.2.9 5000 80`, and a line end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Refusal, Stop, begins_with};

const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line of the specification, with its end.
const LONGEST: usize = 107;

pub fn parse(received: &[u8]) -> Result<(Header, usize), Stop> {
    let line = &received[..received.len().min(LONGEST)];
    read_line(line).map_err(|stop| match stop {
        Stop::Incomplete if line.len() + missing_end(line) > LONGEST => Refusal::TooLong.into(),
        stop => stop,
    })
}

/// How many bytes are wanting at least.
fn missing_end(line: &[u8]) -> usize {
    if line.ends_with(b"\r") { 1 } else { 2 }
}

fn read_line(line: &[u8]) -> Result<(Header, usize), Stop> {
    begins_with(line, [SIGNATURE], Refusal::Missing)?;
    let text = &line[SIGNATURE.len()..];
    let family = begins_with(text, [b"TCP4 ", b"TCP6 ", b"UNKNOWN ", b"UNKNOWN\r"], Refusal::Family)?;
    let (header, rest) = match family {
        0 => read_addresses(&text[5..], |ip| ip.parse().ok().map(Ipv4Addr::into))?,
        1 => read_addresses(&text[5..], |ip| ip.parse().ok().map(Ipv6Addr::into))?,
        // Whatever an unknown address looks like, the specification wants it ignored.
        _ => (Header::default(), until(text, b'\r').ok_or(Stop::Incomplete)?.1),
    };
    begins_with(rest, [b"\n"], Refusal::Address)?;
    Ok((header, line.len() - rest.len() + 1))
}

/// Returns what follows the carriage return, too.
fn read_addresses(text: &[u8], ip: fn(&str) -> Option<IpAddr>) -> Result<(Header, &[u8]), Stop> {
    let (source, text) = read_field(text, b' ', ip)?;
    let (destination, text) = read_field(text, b' ', ip)?;
    let (source_port, text) = read_field(text, b' ', port)?;
    let (destination_port, rest) = read_field(text, b'\r', port)?;
    let header = Header {
        source: Some(SocketAddr::new(source, source_port)),
        destination: Some(SocketAddr::new(destination, destination_port)),
        ..Header::default()
    };
    Ok((header, rest))
}

/// Digits alone: `parse` by itself would take a sign and heading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// What stands before `end`, and what follows it.
fn until(text: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    let len = text.iter().position(|&byte| byte == end)?;
    Some((&text[..len], &text[len + 1..]))
}

/// Reads what stands before `end`. Returns what follows it, too.
fn read_field<T>(text: &[u8], end: u8, read: fn(&str) -> Option<T>) -> Result<(T, &[u8]), Stop> {
    let as_field = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(read);
    if let Some((field, rest)) = until(text, end) {
        return Ok((as_field(field).ok_or(Refusal::Address)?, rest));
    }
    let possible = ENDINGS.iter().any(|ending| {
        let mut whole = [0; LONGEST + 7];
        let len = text.len() + ending.len();
        whole[..text.len()].copy_from_slice(text);
        whole[text.len()..len].copy_from_slice(ending.as_bytes());
        as_field(&whole[..len]).is_some()
    });
    Err(if possible { Stop::Incomplete } else { Refusal::Address.into() })
}

/// Every beginning of an address or of a port becomes a whole one with one of these.
const ENDINGS: [&str; 11] = ["", "0", ":", "::", ":0", ".0", ".0.0", ".0.0.0", "0.0", "0.0.0", "0.0.0.0"];

pub fn header(addresses: Option<(SocketAddr, SocketAddr)>) -> String {
    let Some((source, destination)) = addresses else { return "PROXY UNKNOWN\r\n".into() };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (ips, ports) = ((source.ip(), destination.ip()), (source.port(), destination.port()));
    format!("PROXY {family} {} {} {} {}\r\n", ips.0, ips.1, ports.0, ports.1)
}
