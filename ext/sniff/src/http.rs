//! HTTP: the head of a request (RFC 9112), and the preface of HTTP/2 (RFC 9113, section 3.4).

use crate::SniffError;
use crate::cursor::Cursor;
use crate::host::Authority;
pub use target::Target;

mod target;

/// The maximum size of a head in bytes, from its first byte to the end of its empty line.
pub const MAX_HEAD_SIZE: usize = 64 * 1024;

/// The maximum number of header lines.
pub const MAX_HEADERS: usize = 100;

/// The maximum size of a method in bytes. Registered methods have at most 17.
pub const MAX_METHOD_SIZE: usize = 32;

/// The first bytes of each HTTP/2 connection.
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first message of an HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request of HTTP/1.
    Request(Request<'a>),
    /// The preface of HTTP/2. Its requests follow in frames, which the sniffer does not parse.
    Http2Preface,
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The request target. It may contain bytes above 127, which RFC 9112 forbids and clients send.
    pub target: &'a [u8],
    /// The minor version: the digit after `HTTP/1.`
    pub minor_version: u8,
    /// The header lines in their order. A value may be any bytes but line ends and NUL.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The size of the head in bytes, empty lines before it included. The body begins there.
    pub size: usize,
    form: Target<'a>,
}

impl<'a> Request<'a> {
    /// Returns the host and port that the request is for: those of the target if its form has them, otherwise
    /// those of the `Host` header. Returns None if there are none, or if they are invalid: CONNECT needs a
    /// port, too.
    pub fn authority(&self) -> Option<Authority<'a>> {
        match self.form {
            Target::Absolute { authority, .. } => Authority::parse(authority),
            Target::Authority(authority) => Authority::parse(authority).filter(|found| found.port.is_some()),
            Target::Origin(_) | Target::Asterisk => Authority::parse(host_header(&self.headers)?),
        }
    }

    /// Returns the target without authority and query; None for CONNECT.
    pub fn path(&self) -> Option<&'a [u8]> {
        self.form.path()
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

fn host_header<'a>(headers: &[(&str, &'a [u8])]) -> Option<&'a [u8]> {
    headers.iter().find(|(name, _)| is_host(name)).map(|(_, value)| *value)
}

/// Parses the head at the start of `data` and ignores the bytes after it.
///
/// ```
/// # use proxymachine_sniff::SniffError;
/// # use proxymachine_sniff::http::{self, Message};
/// let head = b"GET /cats HTTP/1.1\r\nHost: a.b\r\n\r\n";
/// let Ok(Message::Request(request)) = http::request(head) else { panic!() };
/// assert_eq!(request.authority().unwrap().host.to_string(), "a.b");
/// assert_eq!(http::request(b"GET /ca").err(), Some(SniffError::Incomplete));
/// ```
///
/// # Errors
/// See [`SniffError`]. A request that names two hosts is a mismatch, since its server may choose the other
/// one: two `Host` headers, or a `Host` header that differs from the authority in the target.
pub fn request(data: &[u8]) -> Result<Message<'_>, SniffError> {
    match Cursor::new(data).expect(HTTP2_PREFACE) {
        Ok(()) => return Ok(Message::Http2Preface),
        Err(SniffError::Incomplete) => return Err(SniffError::Incomplete),
        Err(SniffError::Mismatch) => {}
    }
    let complete = data.len() >= MAX_HEAD_SIZE;
    let head = &data[..data.len().min(MAX_HEAD_SIZE)];
    parse(head).map(Message::Request).map_err(|error| if complete { SniffError::Mismatch } else { error })
}

fn parse(head: &[u8]) -> Result<Request<'_>, SniffError> {
    let mut cursor = Cursor::new(head);
    skip_empty_lines(&mut cursor)?;
    let method = cursor.take_while(is_token, b' ', MAX_METHOD_SIZE)?;
    let method = std::str::from_utf8(method).map_err(|_| SniffError::Mismatch)?;
    if method.is_empty() {
        return Err(SniffError::Mismatch);
    }
    let target = cursor.take_while(is_target, b' ', MAX_HEAD_SIZE)?;
    let form = Target::parse(method, target).ok_or(SniffError::Mismatch)?;
    // RFC 9110, section 2.5: a higher minor version is to be handled as the highest one that is known.
    cursor.expect(b"HTTP/1.")?;
    let minor_version = char::from(cursor.u8()?).to_digit(10).ok_or(SniffError::Mismatch)? as u8;
    expect_line_end(&mut cursor)?;

    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (size, lines) = match httparse::parse_headers(cursor.rest(), &mut lines) {
        Ok(httparse::Status::Complete(found)) => found,
        Ok(httparse::Status::Partial) => return Err(SniffError::Incomplete),
        Err(_) => return Err(SniffError::Mismatch),
    };
    let mut hosts = lines.iter().filter(|line| is_host(line.name));
    let host = hosts.next().map(|line| line.value);
    if hosts.next().is_some() || host.is_some_and(|host| form.contradicts(host)) {
        return Err(SniffError::Mismatch);
    }
    let headers = lines.iter().map(|line| (line.name, line.value)).collect();
    Ok(Request { method, target, minor_version, headers, size: cursor.position() + size, form })
}

/// RFC 9112, section 2.2: some clients send an empty line after the body of a request.
fn skip_empty_lines(cursor: &mut Cursor<'_>) -> Result<(), SniffError> {
    while matches!(cursor.rest().first(), Some(b'\r' | b'\n')) {
        expect_line_end(cursor)?;
    }
    Ok(())
}

/// Takes CRLF, or a bare LF.
fn expect_line_end(cursor: &mut Cursor<'_>) -> Result<(), SniffError> {
    if cursor.rest().first() == Some(&b'\n') { cursor.expect(b"\n") } else { cursor.expect(b"\r\n") }
}

/// `tchar` of RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

fn is_target(byte: u8) -> bool {
    byte.is_ascii_graphic() || !byte.is_ascii()
}
