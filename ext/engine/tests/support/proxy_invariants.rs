//! What holds for whatever bytes are read as a PROXY header. The fuzz target holds to it, too.

use proxymachine_engine::proxy_protocol::{Header, Parsed, Version, header, parse};

/// Panics if an invariant does not hold.
pub fn check(received: &[u8]) {
    let parsed = parse(received);
    a_longer_piece_agrees_with_every_shorter_one(received, &parsed);
    match parsed {
        Parsed::Header { header, len } => {
            assert_eq!(parse(&received[..len]), parse(received), "the client's bytes do not matter");
            another_implementation_agrees(&received[..len], &header);
            what_was_read_can_be_written(&header);
        }
        Parsed::Incomplete => it_can_be_completed(received),
        Parsed::Refused(_) => {}
    }
}

/// However the bytes are cut into pieces, the answer is the same.
fn a_longer_piece_agrees_with_every_shorter_one(received: &[u8], parsed: &Parsed) {
    let decided = (0..received.len()).find(|&len| parse(&received[..len]) != Parsed::Incomplete);
    if let Some(len) = decided {
        assert_eq!(&parse(&received[..len]), parsed, "after {len} bytes");
    }
}

/// proxy-header takes more than the specification allows. What both take, they read alike.
fn another_implementation_agrees(received: &[u8], header: &Header) {
    match proxy_header::ProxyHeader::parse(received, Default::default()) {
        Ok((other, len)) => {
            assert_eq!(len, received.len());
            let address = other.proxied_address();
            assert_eq!(header.source, address.map(|address| address.source));
            assert_eq!(header.destination, address.map(|address| address.destination));
        }
        // It refuses LOCAL headers of a strange family, and families without a transport.
        Err(error) => {
            let family = received[13];
            let is_strange = !matches!(family, 0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32);
            let is_local = received[12] == 0x20;
            assert!(received[0] == b'\r' && (is_strange || is_local), "{error}");
        }
    }
}

fn what_was_read_can_be_written(original: &Header) {
    let canonical = |address: Option<std::net::SocketAddr>| {
        address.map(|address| (address.ip().to_canonical(), address.port()))
    };
    for version in [Version::One, Version::Two] {
        let written = header(version, original.source, original.destination);
        let Parsed::Header { header, len } = parse(&written) else { panic!("{written:?}") };
        assert_eq!(len, written.len());
        assert_eq!(canonical(header.source), canonical(original.source));
        assert_eq!(canonical(header.destination), canonical(original.destination));
    }
}

/// What is waited for can still come.
fn it_can_be_completed(received: &[u8]) {
    if received.first() == Some(&b'\r') {
        let mut bytes = received.to_vec();
        let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0";
        bytes.extend(signature.get(bytes.len()..).unwrap_or_default());
        if received.len() == 15 {
            return; // Half a length is not looked at.
        }
        let len = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
        bytes.resize(16 + len, 0);
        // Its TLVs may be malformed: they are read when all have arrived. Its length is settled.
        assert!(len <= 4096 - 16 && parse(&bytes) != Parsed::Incomplete);
        return;
    }
    let lines = ["PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "PROXY TCP6 :: :: 0 0\r\n", "PROXY UNKNOWN \r\n"];
    let fields = ["", "0", ":", "::", ":0", ".0", ".0.0", ".0.0.0", "0.0", "0.0.0"];
    let is_completed_by = |ending: &str| {
        let mut endings = (0..ending.len()).map(|start| &ending[start..]);
        endings.any(|ending| {
            let with = |field: &&str| [received, field.as_bytes(), ending.as_bytes()].concat();
            fields.iter().any(|field| matches!(parse(&with(field)), Parsed::Header { .. }))
        })
    };
    assert!(lines.into_iter().any(is_completed_by), "nothing completes it");
}
