//! SSH: the identification string of a client (RFC 4253, section 4.2).

use crate::SniffError;
use crate::cursor::Cursor;

/// The maximum size of the line in bytes, its end included (RFC 4253).
pub const MAX_LINE_SIZE: usize = 255;

/// `SSH-version-software comments`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner<'a> {
    /// The version of the protocol: `2.0`, or `1.99` for a client that speaks older versions, too.
    pub version: &'a str,
    /// The name and version of the client's software.
    pub software: &'a str,
    /// The text after the first space, if there is one.
    pub comments: Option<&'a [u8]>,
    /// The size of the line in bytes, its end included.
    pub size: usize,
}

/// Parses the line at the start of `data` and ignores the bytes after it. The line may end in a bare LF.
///
/// ```
/// # use proxymachine_sniff::ssh;
/// assert_eq!(ssh::banner(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").unwrap().software, "OpenSSH_9.2p1");
/// ```
///
/// # Errors
/// See [`SniffError`].
pub fn banner(data: &[u8]) -> Result<Banner<'_>, SniffError> {
    Cursor::new(data).expect(b"SSH-")?;
    let line = &data[..data.len().min(MAX_LINE_SIZE)];
    let end = line.iter().position(|&byte| byte == b'\n');
    let text = &line[..end.unwrap_or(line.len())];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.iter().any(u8::is_ascii_control) || (end.is_none() && data.len() >= MAX_LINE_SIZE) {
        return Err(SniffError::Mismatch);
    }
    let size = end.ok_or(SniffError::Incomplete)? + 1;
    parse(text, size).ok_or(SniffError::Mismatch)
}

fn parse(text: &[u8], size: usize) -> Option<Banner<'_>> {
    let (identification, comments) = match text.iter().position(|&byte| byte == b' ') {
        Some(space) => (&text[..space], Some(&text[space + 1..])),
        None => (text, None),
    };
    let identification = std::str::from_utf8(identification).ok().filter(|text| text.is_ascii())?;
    // RFC 4253 forbids "-" in the software version, but clients send it.
    let (version, software) = identification.strip_prefix("SSH-")?.split_once('-')?;
    let numeric = version.starts_with(|first: char| first.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (numeric && !software.is_empty()).then_some(Banner { version, software, comments, size })
}
