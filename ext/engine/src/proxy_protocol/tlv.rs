//! What else version 2 tells: types and values, one of them a checksum.

use std::ops::Range;

use super::frame::FIXED;
use super::{Refusal, Tlv};

/// The type of the TLV that holds a checksum of the whole header.
const CRC32C: u8 = 0x03;

/// The TLVs of a header of version 2 whose addresses were read already.
pub fn read(header: &[u8]) -> Result<Box<[Tlv]>, Refusal> {
    let mut tlvs = Vec::new();
    let mut at = FIXED + addresses_len(header);
    while at < header.len() {
        let &[kind, high, low] = header[at..].first_chunk().ok_or(Refusal::Tlv)?;
        let start = at + 3;
        at = start + usize::from(u16::from_be_bytes([high, low]));
        let value = header.get(start..at).ok_or(Refusal::Tlv)?;
        if kind == CRC32C && crc32c(header, start..at).to_be_bytes()[..] != *value {
            return Err(Refusal::Checksum);
        }
        tlvs.push((kind, value.into()));
    }
    Ok(tlvs.into())
}

/// How many bytes the addresses have, ports included.
fn addresses_len(header: &[u8]) -> usize {
    match header[FIXED - 3] >> 4 {
        1 => 2 * (4 + 2),
        2 => 2 * (16 + 2),
        3 => 2 * 108, // paths of Unix sockets
        _ => 0,
    }
}

/// CRC-32C (RFC 4960, appendix B) of `bytes`, those in `skipped` taken for zeros. Bit by bit: a header is
/// short, and hardly any has a checksum.
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
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789", 0..0), 0xe306_9283);
        assert_eq!(crc32c(&[1; 32], 0..32), 0x8a91_36aa); // RFC 3720, B.4: zeros
    }
}
