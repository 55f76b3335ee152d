//! What holds for whatever bytes are read as a PROXY header. The fuzz target holds to it, too.

use proxymachine_engine::proxy_protocol::{Header, Parsed, Version, header, parse};

/// Panics if an invariant does not hold.
pub fn check(received: &[u8]) {
    let parsed = parse(received);
    a_longer_piece_agrees_with_every_shorter_one(received, &parsed);
    match parsed {
        Parsed::Header { header, len } => {
            assert_eq!(parse(&received[..len]), parse(received), "the client's bytes do not matter");
            what_was_read_can_be_written(&header);
        }
        Parsed::Incomplete => it_ends(received),
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

/// What is waited for comes, or is refused, before it is longer than a header may be.
fn it_ends(received: &[u8]) {
    let mut bytes = received.to_vec();
    bytes.resize(4096, 0);
    assert_ne!(parse(&bytes), Parsed::Incomplete);
}
