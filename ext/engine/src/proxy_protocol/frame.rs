//! Where a header ends, told by what has come of it.

use super::Refusal;

/// Version 1 is a line: `PROXY TCP4 192.0.2.1 192.0.2.9 5000 80`.
const LINES: [&[u8]; 4] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN ", b"PROXY UNKNOWN\r"];
const UNKNOWN: &[u8] = b"PROXY UNKNOWN";

/// The longest line of the specification, with its end.
const LONGEST_LINE: usize = 107;

/// Version 2 begins with this. A command, a family and the length of what follows come behind it.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
pub const FIXED: usize = SIGNATURE.len() + 4;

/// Version and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// The longest binary header that is waited for. The format would allow 64 KiB; what load balancers add,
/// be it names of hosts and certificates, stays far below this.
const LONGEST: usize = 4096;

/// The length of the header that `received` begins with; None as long as that may still come.
pub fn len(received: &[u8]) -> Result<Option<usize>, Refusal> {
    if is_binary(received) { binary_len(received) } else { line_len(received) }
}

/// Whether it is of version 2, by the first byte.
pub fn is_binary(received: &[u8]) -> bool {
    received.first() == SIGNATURE.first()
}

fn line_len(received: &[u8]) -> Result<Option<usize>, Refusal> {
    if !LINES.iter().any(|line| begins(received, line)) {
        return Err(Refusal::Missing);
    }
    let line = &received[..received.len().min(LONGEST_LINE)];
    match line.windows(2).position(|pair| pair == b"\r\n") {
        None if line.len() == LONGEST_LINE => Err(Refusal::TooLong),
        end => Ok(end.map(|end| end + 2)),
    }
}

fn binary_len(received: &[u8]) -> Result<Option<usize>, Refusal> {
    if !begins(received, SIGNATURE) {
        return Err(Refusal::Missing);
    }
    if received.get(SIGNATURE.len()).is_some_and(|command| ![LOCAL, PROXY].contains(command)) {
        return Err(Refusal::Command);
    }
    let Some(&[.., high, low]) = received.first_chunk::<FIXED>() else { return Ok(None) };
    let len = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if len > LONGEST {
        return Err(Refusal::TooLong);
    }
    Ok((received.len() >= len).then_some(len))
}

/// Whether `received` begins with `text`, as far as both go.
fn begins(received: &[u8], text: &[u8]) -> bool {
    received.iter().zip(text).all(|(one, other)| one == other)
}

/// Whether the load balancer speaks for itself: such a header is to be skipped whatever it contains.
pub fn is_local(header: &[u8]) -> bool {
    header.starts_with(UNKNOWN) || (is_binary(header) && header[SIGNATURE.len()] == LOCAL)
}
