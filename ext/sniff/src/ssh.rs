//! SSH: the line by which a client identifies itself (RFC 4253, section 4.2).

use crate::Miss;
use crate::cursor::Cursor;

/// Bytes of the longest line, with its end, as RFC 4253 has it; a longer one is foreign.
pub const LONGEST_LINE: usize = 255;

/// `SSH-version-software comments`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner<'a> {
    /// The protocol's version: `2.0`, or `1.99` for "2.0, or older".
    pub version: &'a str,
    /// The client's program and its version.
    pub software: &'a str,
    /// What stands behind the first blank, if there is one.
    pub comments: Option<&'a [u8]>,
    /// Bytes of the line, with its end.
    pub size: usize,
}

/// Reads the line that `data` begins with. What follows it is not looked at. A lone LF ends it, too.
///
/// ```
/// # use proxymachine_sniff::ssh;
/// assert_eq!(ssh::banner(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n").unwrap().software, "OpenSSH_9.2p1");
/// ```
///
/// # Errors
/// See [`Miss`].
pub fn banner(data: &[u8]) -> Result<Banner<'_>, Miss> {
    Cursor::new(data).expect(b"SSH-")?;
    let line = &data[..data.len().min(LONGEST_LINE)];
    let end = line.iter().position(|&byte| byte == b'\n');
    let text = &line[..end.unwrap_or(line.len())];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.iter().any(u8::is_ascii_control) || (end.is_none() && data.len() >= LONGEST_LINE) {
        return Err(Miss::Foreign);
    }
    let size = end.ok_or(Miss::Incomplete)? + 1;
    parse(text, size).ok_or(Miss::Foreign)
}

fn parse(text: &[u8], size: usize) -> Option<Banner<'_>> {
    let (name, comments) = match text.iter().position(|&byte| byte == b' ') {
        Some(blank) => (&text[..blank], Some(&text[blank + 1..])),
        None => (text, None),
    };
    let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii())?;
    // RFC 4253 wants no "-" in the software's name, but clients have it.
    let (version, software) = name.strip_prefix("SSH-")?.split_once('-')?;
    let numeric = version.starts_with(|first: char| first.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (numeric && !software.is_empty()).then_some(Banner { version, software, comments, size })
}
