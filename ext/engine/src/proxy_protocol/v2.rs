//! Version 2: a signature, four bytes that say what follows, the addresses, and TLVs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Header, Refusal, Stop, Tlv, begins_with};

pub const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Address family and transport.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// What precedes the addresses: the signature, command, family and a length.
const FIXED: usize = SIGNATURE.len() + 4;

/// The longest header that is waited for. The format would allow 64 KiB; what load balancers add, be it
/// names of hosts and certificates, stays far below this.
const LONGEST: usize = 4096;

/// The type of the TLV that holds a checksum of the header.
const CRC32C: u8 = 0x03;

pub fn parse(received: &[u8]) -> Result<(Header, usize), Stop> {
    begins_with(received, [SIGNATURE], Refusal::Missing)?;
    let byte = |at: usize| received.get(at).copied().ok_or(Stop::Incomplete);

    let is_local = match byte(SIGNATURE.len())? {
        LOCAL => true,
        PROXY => false,
        _ => return Err(Refusal::Command.into()),
    };
    let family = byte(SIGNATURE.len() + 1)?;
    // The specification has a LOCAL header skipped whatever it contains.
    let addresses_len = if is_local { 0 } else { addresses_len(family)? };
    let following = u16::from_be_bytes([byte(FIXED - 2)?, byte(FIXED - 1)?]);
    let len = FIXED + usize::from(following);
    if len > LONGEST {
        return Err(Refusal::TooLong.into());
    }
    if len < FIXED + addresses_len {
        return Err(Refusal::Address.into());
    }
    let header = received.get(..len).ok_or(Stop::Incomplete)?;
    if is_local {
        return Ok((Header::default(), len));
    }

    let addresses = read_addresses(family, &header[FIXED..FIXED + addresses_len]);
    let header = Header {
        source: addresses.map(|(source, _)| source),
        destination: addresses.map(|(_, destination)| destination),
        tlvs: read_tlvs(header, FIXED + addresses_len)?,
    };
    Ok((header, len))
}

/// How many bytes the two addresses have, ports included.
fn addresses_len(family: u8) -> Result<usize, Refusal> {
    if family & 0x0f > 0x02 {
        return Err(Refusal::Family);
    }
    match family >> 4 {
        0 => Ok(0),
        1 => Ok(2 * (4 + 2)),
        2 => Ok(2 * (16 + 2)),
        3 => Ok(2 * 108), // paths of Unix sockets
        _ => Err(Refusal::Family),
    }
}

/// Both IP addresses, then both ports. UDP's count as TCP's do. Without a transport that is known, and of
/// Unix sockets, there are none.
fn read_addresses(family: u8, bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    if !matches!(family, 0x11 | 0x12 | 0x21 | 0x22) {
        return None;
    }
    let (ips, ports) = bytes.split_at(bytes.len() - 4);
    let (source, destination) = ips.split_at(ips.len() / 2);
    let (source_port, destination_port) = ports.split_at(2);
    Some((read_address(source, source_port)?, read_address(destination, destination_port)?))
}

fn read_address(ip: &[u8], port: &[u8]) -> Option<SocketAddr> {
    let ip = match *ip {
        [a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
        _ => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
}

/// Reads what stands in `header` from `start` on.
fn read_tlvs(header: &[u8], start: usize) -> Result<Box<[Tlv]>, Refusal> {
    let mut tlvs = Vec::new();
    let mut rest = &header[start..];
    while !rest.is_empty() {
        let (&[kind, high, low], after) = rest.split_first_chunk().ok_or(Refusal::Tlv)?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (value, after) = after.split_at_checked(len).ok_or(Refusal::Tlv)?;
        if kind == CRC32C {
            let checksum = value.try_into().map_err(|_| Refusal::Tlv)?;
            verify(header, header.len() - after.len() - value.len(), checksum)?;
        }
        tlvs.push((kind, value.into()));
        rest = after;
    }
    Ok(tlvs.into())
}

/// The checksum is that of the header with zeros where the checksum stands.
fn verify(header: &[u8], at: usize, checksum: [u8; 4]) -> Result<(), Refusal> {
    let zeros = [0; 4];
    let bytes = header[..at].iter().chain(&zeros).chain(&header[at + zeros.len()..]);
    if crc32c(bytes) == u32::from_be_bytes(checksum) { Ok(()) } else { Err(Refusal::Checksum) }
}

/// CRC-32C (RFC 4960, appendix B). Bit by bit: a header is short, and hardly any has a checksum.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

pub fn header(addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut header = Vec::with_capacity(FIXED + 2 * (16 + 2));
    header.extend(SIGNATURE);
    let Some((source, destination)) = addresses else {
        header.extend([LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    match source {
        SocketAddr::V4(_) => header.extend([PROXY, TCP4, 0, 2 * (4 + 2)]),
        SocketAddr::V6(_) => header.extend([PROXY, TCP6, 0, 2 * (16 + 2)]),
    }
    for address in [source, destination] {
        match address.ip() {
            IpAddr::V4(ip) => header.extend(ip.octets()),
            IpAddr::V6(ip) => header.extend(ip.octets()),
        }
    }
    for address in [source, destination] {
        header.extend(address.port().to_be_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
        assert_eq!(crc32c([0; 32].iter()), 0x8a91_36aa); // RFC 3720, B.4
    }
}
