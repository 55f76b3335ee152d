//! Invariants of parsing a PROXY header, for property tests and the fuzz target.

use proxymachine_engine::proxy_protocol::{Header, Parsed, Version, header, parse};

/// Panics if an invariant does not hold.
pub fn check(received: &[u8]) {
    let parsed = parse(received);
    more_bytes_do_not_change_the_result(received, &parsed);
    match parsed {
        Parsed::Header { header, len } => {
            assert_eq!(parse(&received[..len]), parse(received), "the client's bytes do not matter");
            a_parsed_header_can_be_written(&header);
        }
        Parsed::Incomplete => the_header_is_bounded(received),
        Parsed::Invalid(_) => {}
    }
}

/// Checks that more bytes do not change a final result.
fn more_bytes_do_not_change_the_result(received: &[u8], parsed: &Parsed) {
    let decided = (0..received.len()).find(|&len| parse(&received[..len]) != Parsed::Incomplete);
    if let Some(len) = decided {
        assert_eq!(&parse(&received[..len]), parsed, "after {len} bytes");
    }
}

fn a_parsed_header_can_be_written(original: &Header) {
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

/// Checks that an incomplete header is completed or rejected within the maximal length.
fn the_header_is_bounded(received: &[u8]) {
    let mut bytes = received.to_vec();
    bytes.resize(4096, 0);
    assert_ne!(parse(&bytes), Parsed::Incomplete);
}
