//! Properties of PROXY headers: truncated, followed by other bytes, damaged; and of other bytes.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_engine::proxy_protocol::{Parsed, Version, header, parse};

#[path = "support/proxy_invariants.rs"]
mod proxy_invariants;

use proxy_invariants::check;

/// Two addresses of one family, as in every header.
fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let ports = || any::<(u16, u16)>();
    prop_oneof![
        (any::<([u8; 4], [u8; 4])>(), ports()).prop_map(|((a, b), (x, y))| ((a, x).into(), (b, y).into())),
        (any::<([u8; 16], [u8; 16])>(), ports()).prop_map(|((a, b), (x, y))| ((a, x).into(), (b, y).into())),
        (vec(0..3u16, 16), ports()).prop_map(|(groups, (x, y))| {
            let ip = |groups: &[u16]| <[u16; 8]>::try_from(groups).unwrap();
            ((ip(&groups[..8]), x).into(), (ip(&groups[8..]), y).into())
        }),
    ]
}

/// A header with TLVs of any type except the checksum, which would have to match.
fn binary_header() -> impl Strategy<Value = Vec<u8>> {
    let tlv = (4..=255u8, vec(any::<u8>(), 0..40));
    (proptest::option::of(addresses()), vec(tlv, 0..5)).prop_map(|(addresses, tlvs)| {
        let (source, destination) = addresses.unzip();
        let mut bytes = header(Version::Two, source, destination).to_vec();
        for (kind, value) in tlvs {
            bytes.push(kind);
            bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend(value);
        }
        let following = u16::try_from(bytes.len() - 16).unwrap();
        bytes[14..16].copy_from_slice(&following.to_be_bytes());
        bytes
    })
}

fn text_header() -> impl Strategy<Value = Vec<u8>> {
    let line = |(source, destination)| header(Version::One, Some(source), Some(destination)).to_vec();
    prop_oneof![
        4 => addresses().prop_map(line),
        1 => "[ -~]{0,91}".prop_map(|rest| format!("PROXY UNKNOWN {rest}\r\n").into_bytes()),
    ]
}

fn any_header() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![text_header(), binary_header()]
}

proptest! {
    #[test]
    fn every_header_ends_where_the_clients_bytes_begin(
        header in any_header(), client in vec(any::<u8>(), 0..200),
    ) {
        for len in 0..header.len() {
            prop_assert_eq!(parse(&header[..len]), Parsed::Incomplete);
        }
        let received = [&header[..], &client].concat();
        let Parsed::Header { len, .. } = parse(&received) else { panic!("{received:?}") };
        prop_assert_eq!(&received[len..], &client[..]);
        check(&received);
    }

    #[test]
    fn what_is_written_is_read((source, destination) in addresses()) {
        for version in [Version::One, Version::Two] {
            let written = header(version, Some(source), Some(destination));
            let Parsed::Header { header, len } = parse(&written) else { panic!("{written:?}") };
            prop_assert_eq!(len, written.len());
            prop_assert_eq!(header.source.unwrap().ip().to_canonical(), source.ip().to_canonical());
            prop_assert_eq!(header.destination.unwrap().ip().to_canonical(), destination.ip().to_canonical());
            prop_assert_eq!(header.source.unwrap().port(), source.port());
            prop_assert_eq!(header.destination.unwrap().port(), destination.port());
        }
    }

    #[test]
    fn a_damaged_header_breaks_nothing(
        header in any_header(), damages in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut damaged = header;
        for (at, byte) in damages {
            let at = at.index(damaged.len());
            damaged[at] = byte;
        }
        check(&damaged);
    }

    #[test]
    fn a_line_of_what_lines_are_made_of_breaks_nothing(line in "PROXY (TCP4|TCP6) [0-9a-f:. \r\n]{0,40}") {
        check(line.as_bytes());
    }

    #[test]
    fn no_bytes_break_anything(received in vec(any::<u8>(), 0..100)) {
        check(&received);
        check(&[b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", &received[..]].concat());
    }
}
