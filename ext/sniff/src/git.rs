//! Git: the request of a `git://` client ("Git transport" in `gitprotocol-pack`).

use crate::SniffError;
use crate::cursor::Cursor;
use crate::host::Authority;

/// The maximum size of a request in bytes, as in Git.
pub const MAX_REQUEST_SIZE: usize = 65_520;

/// The size field, the shortest command, a space, and a path of one byte.
const MIN_REQUEST_SIZE: usize = 4 + "git-upload-pack".len() + 2;

const COMMANDS: [&str; 3] = ["git-upload-pack", "git-receive-pack", "git-upload-archive"];

/// The request of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// `git-upload-pack` to fetch, `git-receive-pack` to push, or `git-upload-archive`.
    pub command: &'static str,
    /// The path of the repository; never empty.
    pub path: &'a [u8],
    /// The host and port of the URL; None if the client sends none, or if they are invalid.
    pub authority: Option<Authority<'a>>,
    /// The size of the request in bytes.
    pub size: usize,
    extra_parameters: &'a [u8],
}

impl<'a> Request<'a> {
    /// Returns the extra parameters, such as `version=2`.
    pub fn parameters(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.extra_parameters.split(|&byte| byte == 0).filter(|parameter| !parameter.is_empty())
    }
}

/// Parses the request at the start of `data` and ignores the bytes after it.
///
/// ```
/// # use proxymachine_sniff::git;
/// let request = git::request(b"0029git-upload-pack /alice/a.git\0host=a.b\0").unwrap();
/// assert_eq!(request.path, b"/alice/a.git");
/// ```
///
/// # Errors
/// See [`SniffError`].
pub fn request(data: &[u8]) -> Result<Request<'_>, SniffError> {
    let mut cursor = Cursor::new(data);
    let size = size(&mut cursor)?;
    let command = command(&mut cursor)?;
    let rest = size.checked_sub(cursor.position()).ok_or(SniffError::Mismatch)?;
    parse(command, cursor.take(rest)?, size).ok_or(SniffError::Mismatch)
}

/// Reads the size of a pkt-line: four hexadecimal digits, which are included in the size.
fn size(cursor: &mut Cursor<'_>) -> Result<usize, SniffError> {
    let mut size = 0;
    for _ in 0..4 {
        let digit = char::from(cursor.u8()?).to_digit(16).ok_or(SniffError::Mismatch)?;
        size = (size << 4) | digit as usize;
    }
    let valid = (MIN_REQUEST_SIZE..=MAX_REQUEST_SIZE).contains(&size);
    if valid { Ok(size) } else { Err(SniffError::Mismatch) }
}

fn command(cursor: &mut Cursor<'_>) -> Result<&'static str, SniffError> {
    let mut error = SniffError::Mismatch;
    for command in COMMANDS {
        match cursor.expect(command.as_bytes()) {
            Ok(()) => return cursor.expect(b" ").map(|()| command),
            Err(SniffError::Incomplete) => error = SniffError::Incomplete,
            Err(SniffError::Mismatch) => {}
        }
    }
    Err(error)
}

/// Parses as `git daemon` does: the path with an optional LF, optionally the host, and optionally the extra
/// parameters after another zero byte.
fn parse<'a>(command: &'static str, line: &'a [u8], size: usize) -> Option<Request<'a>> {
    let (path, rest) = split_at_zero(line);
    let path = path.strip_suffix(b"\n").unwrap_or(path);
    let (host, extra_parameters) =
        if rest.starts_with(b"\0") { (&rest[..0], rest) } else { split_at_zero(rest) };
    let authority = match host {
        [] => None,
        _ if host.len() >= 5 && host[..5].eq_ignore_ascii_case(b"host=") => Authority::parse(&host[5..]),
        _ => return None,
    };
    let separated = extra_parameters.is_empty() || extra_parameters.starts_with(b"\0");
    (separated && !path.is_empty()).then_some(Request { command, path, authority, size, extra_parameters })
}

/// Splits at the first zero byte and drops it.
fn split_at_zero(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == 0) {
        Some(zero) => (&bytes[..zero], &bytes[zero + 1..]),
        None => (bytes, &[]),
    }
}
