//! Git: the request of a `git://` client ("Git transport" in "pack-protocol" of its manual).

use crate::Miss;
use crate::cursor::Cursor;
use crate::host::Authority;

/// Bytes of the longest request, as Git has it; a longer one is foreign.
pub const LONGEST_REQUEST: usize = 65_520;

/// The shortest: its size, the shortest command, a blank, and a path of one byte.
const SHORTEST_REQUEST: usize = 4 + "git-upload-pack".len() + 2;

const COMMANDS: [&str; 3] = ["git-upload-pack", "git-receive-pack", "git-upload-archive"];

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// `git-upload-pack` to fetch, `git-receive-pack` to push, or `git-upload-archive`.
    pub command: &'static str,
    /// The repository; never empty.
    pub path: &'a [u8],
    /// The host and port of the URL; None if the client does not say, or if it is not valid.
    pub authority: Option<Authority<'a>>,
    /// The bytes that the request takes.
    pub size: usize,
    parameters: &'a [u8],
}

impl<'a> Request<'a> {
    /// What newer clients say besides, such as `version=2`.
    pub fn parameters(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.parameters.split(|&byte| byte == 0).filter(|word| !word.is_empty())
    }
}

/// Reads the request that `data` begins with. What follows it is not looked at.
///
/// ```
/// # use proxymachine_sniff::git;
/// let request = git::request(b"0029git-upload-pack /alice/a.git\0host=a.b\0").unwrap();
/// assert_eq!(request.path, b"/alice/a.git");
/// ```
///
/// # Errors
/// See [`Miss`].
pub fn request(data: &[u8]) -> Result<Request<'_>, Miss> {
    let mut cursor = Cursor::new(data);
    let size = size(&mut cursor)?;
    let command = command(&mut cursor)?;
    let line = size.checked_sub(cursor.position()).ok_or(Miss::Foreign)?;
    parse(command, cursor.take(line)?, size).ok_or(Miss::Foreign)
}

/// Four hexadecimal digits, which count themselves.
fn size(cursor: &mut Cursor<'_>) -> Result<usize, Miss> {
    let mut size = 0;
    for _ in 0..4 {
        let digit = char::from(cursor.u8()?).to_digit(16).ok_or(Miss::Foreign)?;
        size = (size << 4) | digit as usize;
    }
    if (SHORTEST_REQUEST..=LONGEST_REQUEST).contains(&size) { Ok(size) } else { Err(Miss::Foreign) }
}

fn command(cursor: &mut Cursor<'_>) -> Result<&'static str, Miss> {
    let mut miss = Miss::Foreign;
    for command in COMMANDS {
        match cursor.expect(command.as_bytes()) {
            Ok(()) => return cursor.expect(b" ").map(|()| command),
            Err(Miss::Incomplete) => miss = Miss::Incomplete,
            Err(Miss::Foreign) => {}
        }
    }
    Err(miss)
}

/// As `git daemon` reads it: the path, perhaps with a line end, perhaps the host, then the parameters behind
/// another zero byte.
fn parse<'a>(command: &'static str, line: &'a [u8], size: usize) -> Option<Request<'a>> {
    let (path, rest) = split_zero(line);
    let path = path.strip_suffix(b"\n").unwrap_or(path);
    let (host, parameters) = if rest.starts_with(b"\0") { (&rest[..0], rest) } else { split_zero(rest) };
    let authority = match host {
        [] => None,
        _ if host.len() >= 5 && host[..5].eq_ignore_ascii_case(b"host=") => Authority::parse(&host[5..]),
        _ => return None,
    };
    let separated = parameters.is_empty() || parameters.starts_with(b"\0");
    (separated && !path.is_empty()).then_some(Request { command, path, authority, size, parameters })
}

/// What stands before the first zero byte, and what behind it.
fn split_zero(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == 0) {
        Some(zero) => (&bytes[..zero], &bytes[zero + 1..]),
        None => (bytes, &[]),
    }
}
