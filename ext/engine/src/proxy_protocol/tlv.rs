//! TLVs: the types and values at the end of a version 2 header. One of them is a checksum.

use std::ops::Range;

use super::error::HeaderError;
use super::frame::FIXED;

/// A type, numbered as in the specification, and a value.
pub type Tlv = (u8, Box<[u8]>);

/// The type of the TLV that holds a checksum of the whole header.
const CRC32C: u8 = 0x03;

/// Parses the TLVs of a version 2 header whose addresses are valid.
pub fn read(header: &[u8]) -> Result<Box<[Tlv]>, HeaderError> {
    let mut tlvs = Vec::new();
    let mut at = FIXED + addresses_len(header[FIXED - 3]);
    while at < header.len() {
        let &[kind, high, low] = header[at..].first_chunk().ok_or(HeaderError::Tlv)?;
        let start = at + 3;
        at = start + usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(start..at).ok_or(HeaderError::Tlv)?;
        if kind == CRC32C && crc32c(header, start..at).to_be_bytes()[..] != *value {
            return Err(HeaderError::Checksum);
        }
        tlvs.push((kind, value.into()));
    }
    Ok(tlvs.into())
}

/// Returns the length of the addresses of a family, ports included.
pub fn addresses_len(family: u8) -> usize {
    match family >> 4 {
        1 => 2 * (4 + 2),
        2 => 2 * (16 + 2),
        3 => 2 * 108, // paths of Unix sockets
        _ => 0,
    }
}

/// Returns the CRC-32C (RFC 4960, appendix B) of `bytes`, with zeros in place of those in `skipped`. It works bit by
/// bit, since headers are short and checksums rare.
fn crc32c(bytes: &[u8], skipped: Range<usize>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().enumerate().fold(!0, |crc, (at, &byte)| {
        let byte = if skipped.contains(&at) { 0 } else { byte };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_agree_with_the_standard() {
        assert_eq!(crc32c(b"123456789", 0..0), 0xe306_9283);
        assert_eq!(crc32c(&[1; 32], 0..32), 0x8a91_36aa); // RFC 3720, B.4: zeros
    }
}
