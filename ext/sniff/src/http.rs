//! HTTP: the head of a request (RFC 9112), and the preface of HTTP/2 (RFC 9113, section 3.4).

use std::mem::MaybeUninit;

use crate::Miss;
use crate::cursor::Cursor;
use crate::host::Authority;

/// Bytes of the longest head that is read, from the method to the empty line; a longer one is foreign.
pub const LONGEST_HEAD: usize = 64 * 1024;

/// The most header lines of a request; one with more is foreign.
pub const MOST_HEADERS: usize = 100;

/// Bytes of the longest method; the registered ones have at most 17.
pub const LONGEST_METHOD: usize = 32;

/// What each HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening<'a> {
    /// With a request of HTTP/1.0 or HTTP/1.1.
    Request(Request<'a>),
    /// With the preface of HTTP/2. Its requests follow in frames, which are not looked at.
    Http2,
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET` and the like.
    pub method: &'a str,
    /// What stands behind it: a path with its query, a whole URL, `host:port` or `*`.
    pub target: &'a str,
    /// The digit behind `HTTP/1.`
    pub minor_version: u8,
    /// The header lines in their order. A value may be any bytes but line ends and NUL.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// Bytes of the head, with its empty line; the body begins there.
    pub size: usize,
}

impl<'a> Request<'a> {
    /// The host and port that the request is for: those of the target if it names them, which RFC 9112 puts
    /// first, otherwise those of the `Host` header. None if there is none, or if it is not valid.
    pub fn authority(&self) -> Option<Authority<'a>> {
        let bytes = match self.split_target() {
            (Some(authority), _) => authority.as_bytes(),
            (None, _) => self.headers.iter().find(|(name, _)| is_host(name))?.1,
        };
        Authority::parse(bytes)
    }

    /// The target without host and query. None for CONNECT, which has no path.
    pub fn path(&self) -> Option<&'a str> {
        let path = self.split_target().1?;
        let end = path.find(['?', '#']).unwrap_or(path.len());
        Some(if end == 0 { "/" } else { &path[..end] })
    }

    /// The authority in the target, and what follows it.
    fn split_target(&self) -> (Option<&'a str>, Option<&'a str>) {
        if self.method == "CONNECT" {
            return (Some(self.target), None);
        }
        let absolute = if self.target.starts_with('/') { None } else { self.target.split_once("://") };
        match absolute {
            Some((_, rest)) => {
                let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
                (Some(authority), Some(path))
            }
            None => (None, Some(self.target)),
        }
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

/// Reads the head that `data` begins with. What follows it is not looked at.
///
/// ```
/// # use proxymachine_sniff::{Miss, http};
/// let Ok(http::Opening::Request(request)) = http::request(b"GET /cats HTTP/1.1\r\nHost: a.b\r\n\r\n") else { panic!() };
/// assert_eq!(request.authority().unwrap().host, "a.b");
/// assert_eq!(http::request(b"GET /ca").err(), Some(Miss::Incomplete));
/// ```
///
/// # Errors
/// See [`Miss`]. A request with two `Host` headers is foreign: its server might go by the other one.
pub fn request(data: &[u8]) -> Result<Opening<'_>, Miss> {
    match Cursor::new(data).expect(PREFACE) {
        Ok(()) => return Ok(Opening::Http2),
        Err(Miss::Incomplete) => return Err(Miss::Incomplete),
        Err(Miss::Foreign) => {}
    }
    if data.starts_with(b"\r") || data.starts_with(b"\n") {
        return Err(Miss::Foreign); // httparse waits for what follows empty lines
    }
    let head = &data[..data.len().min(LONGEST_HEAD)];
    let mut lines = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut lines) {
        Ok(httparse::Status::Complete(size)) => found(&parsed, size),
        Ok(httparse::Status::Partial) if data.len() < LONGEST_HEAD && has_short_method(data) => {
            Err(Miss::Incomplete)
        }
        Ok(httparse::Status::Partial) | Err(_) => Err(Miss::Foreign),
    }
}

fn has_short_method(data: &[u8]) -> bool {
    data.len() <= LONGEST_METHOD || data[..=LONGEST_METHOD].contains(&b' ')
}

fn found<'a>(parsed: &httparse::Request<'_, 'a>, size: usize) -> Result<Opening<'a>, Miss> {
    let (Some(method), Some(target), Some(minor_version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Miss::Foreign);
    };
    let hosts = parsed.headers.iter().filter(|header| is_host(header.name)).count();
    if hosts > 1 || method.len() > LONGEST_METHOD {
        return Err(Miss::Foreign);
    }
    let headers = parsed.headers.iter().map(|header| (header.name, header.value)).collect();
    Ok(Opening::Request(Request { method, target, minor_version, headers, size }))
}
