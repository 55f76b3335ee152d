//! Framing: the length of a header, from the bytes received so far.

use super::error::HeaderError;
use super::tlv::addresses_len;

/// Version 1 is a line: `PROXY TCP4 192.0.2.1 192.0.2.9 5000 80`.
const LINES: [&[u8]; 4] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r"];
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";

/// Limit of a line, with its end, in the specification.
const LONGEST_LINE: usize = 107;

/// The signature of version 2. A command, a family and the length of the rest follow.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
pub const FIXED: usize = SIGNATURE.len() + 4;

/// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Limit of a binary header. The format allows 64 KiB; the TLVs of real load balancers, such as host names and
/// certificates, stay far below this limit.
const LONGEST: usize = 4096;

/// Returns the length of the header at the beginning of `received`; `None` while it is incomplete.
pub fn len(received: &[u8]) -> Result<Option<usize>, HeaderError> {
    if is_binary(received) { binary_len(received) } else { line_len(received) }
}

/// Tells by the first byte whether a header is of version 2.
pub fn is_binary(received: &[u8]) -> bool {
    received.first() == SIGNATURE.first()
}

fn line_len(received: &[u8]) -> Result<Option<usize>, HeaderError> {
    if !LINES.iter().any(|line| begins(received, line)) {
        return Err(HeaderError::Missing);
    }
    let line = &received[..received.len().min(LONGEST_LINE)];
    // What a header of an unknown connection contains does not matter.
    if let Some(addresses) =
        line.get(LINES[0].len()..).filter(|_| line.starts_with(LINES[0]) || line.starts_with(LINES[1]))
    {
        check_addresses(addresses)?;
    }
    match line.windows(2).position(|pair| pair == b"\r\n") {
        None if line.len() == LONGEST_LINE => Err(HeaderError::TooLong),
        end => Ok(end.map(|end| end + 2)),
    }
}

/// Rejects a line at the first byte that no address and no port has, so that a line which ends in LF alone or goes on
/// after a CR is not waited for.
fn check_addresses(text: &[u8]) -> Result<(), HeaderError> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || b".: ".contains(byte);
    let rest = match text.iter().position(|byte| !is_part(byte)) {
        Some(end) => &text[end..],
        None => return Ok(()),
    };
    if begins(rest, b"\r\n") { Ok(()) } else { Err(HeaderError::Address) }
}

fn binary_len(received: &[u8]) -> Result<Option<usize>, HeaderError> {
    if !begins(received, SIGNATURE) {
        return Err(HeaderError::Missing);
    }
    if received.get(SIGNATURE.len()).is_some_and(|command| ![LOCAL, PROXY].contains(command)) {
        return Err(HeaderError::Command);
    }
    let is_proxy = received.get(SIGNATURE.len()) == Some(&PROXY);
    let family = received.get(SIGNATURE.len() + 1).filter(|_| is_proxy);
    if family.is_some_and(|family| family >> 4 > 3 || family & 15 > 2) {
        return Err(HeaderError::Address);
    }
    let Some(&[.., high, low]) = received.first_chunk::<FIXED>() else { return Ok(None) };
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > LONGEST {
        return Err(HeaderError::TooLong);
    }
    if family.is_some_and(|family| len < FIXED + addresses_len(*family)) {
        return Err(HeaderError::Address);
    }
    Ok((received.len() >= len).then_some(len))
}

/// Tells whether one of `received` and `text` is a prefix of the other.
fn begins(received: &[u8], text: &[u8]) -> bool {
    received.iter().zip(text).all(|(one, other)| one == other)
}

/// Tells whether the connection is the load balancer's own. The rest of such a header is to be ignored.
pub fn is_local(header: &[u8]) -> bool {
    header.starts_with(UNKNOWN) || (is_binary(header) && header[SIGNATURE.len()] == LOCAL)
}
