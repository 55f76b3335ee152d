//! Requests and replies, and their checks.

/// The size of each request and reply.
pub const HEAD: usize = 100;

pub type Head = [u8; HEAD];

/// Builds `GET /ROUTE/ROLE/NUMBER ...`, padded to `HEAD` bytes. The proxy reads the route, the backend role and number.
pub fn request(verb: &str, route: &str, role: &str, number: u64) -> Head {
    let mut text = format!("{verb} /{route}/{role}/{number:016} HTTP/1.1\r\nHost: bench.example\r\nX-Pad: ");
    assert!(text.len() + 4 <= HEAD, "route too long");
    while text.len() < HEAD - 4 {
        text.push('x');
    }
    text.push_str("\r\n\r\n");
    text.into_bytes().try_into().expect("length is HEAD")
}

/// Builds the backend's reply to request `number`.
pub fn reply(number: u64) -> Head {
    let mut text = format!("OK {number:016} ");
    while text.len() < HEAD - 1 {
        text.push('y');
    }
    text.push('\n');
    text.into_bytes().try_into().expect("length is HEAD")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Replies `HEAD` bytes and closes.
    Reply,
    /// Echoes everything, beginning with the request.
    Echo,
    /// Sends this many bytes of the stream and closes.
    Down(u64),
    /// Receives this many bytes of the stream, replies and closes.
    Up(u64),
}

/// Parses a request.
pub fn parse(head: &Head) -> Option<(Role, u64)> {
    let text = std::str::from_utf8(head).ok()?;
    let mut parts = text.split(' ').nth(1)?.split('/').skip(2);
    let role = parts.next()?;
    let number = parts.next()?.parse().ok()?;
    let role = match role {
        "reply" => Role::Reply,
        "echo" => Role::Echo,
        "down" => Role::Down(number),
        "up" => Role::Up(number),
        _ => return None,
    };
    Some((role, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_the_backend_role_and_number() {
        assert_eq!(parse(&request("GET", "alpha", "reply", 7)), Some((Role::Reply, 7)));
        assert_eq!(parse(&request("GET", "alpha", "up", 1 << 30)), Some((Role::Up(1 << 30), 1 << 30)));
        assert_eq!(parse(&[b'x'; HEAD]), None);
    }
}
