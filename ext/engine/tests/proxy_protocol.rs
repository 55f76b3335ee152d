//! Parsing and writing PROXY headers.

use std::net::SocketAddr;

use proxymachine_engine::proxy_protocol::{Header, HeaderError, Parsed, Version, header, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(following: &[u8]) -> Vec<u8> {
    [SIGNATURE, following].concat()
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

/// Parses these bytes, followed by a client's. All shorter prefixes must be incomplete.
#[track_caller]
fn read(bytes: &[u8]) -> Header {
    for len in 0..bytes.len() {
        assert_eq!(parse(&bytes[..len]), Parsed::Incomplete, "after {len} bytes");
    }
    match parse(&[bytes, b"PROXY and so on"].concat()) {
        Parsed::Header { header, len } => {
            assert_eq!(len, bytes.len());
            header
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(bytes: &[u8]) -> HeaderError {
    match parse(bytes) {
        Parsed::Invalid(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// Returns the error of `bytes`, all proper prefixes of which must be incomplete.
#[track_caller]
fn refused_at_once(bytes: &[u8]) -> HeaderError {
    assert_eq!(parse(&bytes[..bytes.len() - 1]), Parsed::Incomplete);
    refused(bytes)
}

#[test]
fn headers_of_haproxy_are_parsed() {
    let text = read(b"PROXY TCP4 127.0.0.1 127.0.0.1 51052 17301\r\n");
    assert_eq!((text.source, text.destination), (address("127.0.0.1:51052"), address("127.0.0.1:17301")));
    let text = read(b"PROXY TCP6 ::1 ::1 38636 17302\r\n");
    assert_eq!((text.source, text.destination), (address("[::1]:38636"), address("[::1]:17302")));
    assert_eq!(read(b"PROXY UNKNOWN\r\n"), Header::default());

    let binary = read(&v2(b"\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x81\xa8\x43\x97"));
    assert_eq!((binary.source, binary.destination), (address("127.0.0.1:33192"), address("127.0.0.1:17303")));
    assert!(binary.tlvs.is_empty());
    assert_eq!(read(&v2(b"\x20\0\0\0")), Header::default());
}

/// A header of HAProxy with `proxy-v2-options crc32c,unique-id`.
const WITH_CHECKSUM: &[u8] =
    b"\x21\x21\0\x37\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
    \xac\x3c\x43\x9a\x03\0\x04\x30\xea\xba\xf5\x05\0\x09request-7";

#[test]
fn tlvs_of_haproxy_are_parsed() {
    let header = read(&v2(WITH_CHECKSUM));
    assert_eq!((header.source, header.destination), (address("[::1]:44092"), address("[::1]:17306")));
    let tlvs: Vec<(u8, &[u8])> = header.tlvs.iter().map(|(kind, value)| (*kind, &**value)).collect();
    assert_eq!(tlvs, [(0x03, &b"\x30\xea\xba\xf5"[..]), (0x05, b"request-7")]);
}

#[test]
fn the_checksum_detects_a_damaged_header() {
    let whole = v2(WITH_CHECKSUM);
    let lengths = [14, 15, whole.len() - 11, whole.len() - 10]; // A change there breaks more than the checksum.
    let kinds = [12, 13, whole.len() - 19, whole.len() - 18, whole.len() - 17];
    for at in (12..whole.len()).filter(|at| !lengths.contains(at) && !kinds.contains(at)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert_eq!(refused(&damaged), HeaderError::Checksum, "byte {at}");
    }
}

#[test]
fn a_checksum_has_four_bytes() {
    assert_eq!(refused(&v2(b"\x21\0\0\x06\x03\0\x03abc")), HeaderError::Checksum);
}

#[test]
fn other_bytes_are_rejected_at_the_first_wrong_byte() {
    for bytes in [&b"G"[..], b"PROXy", b"PROXYT", b"PROXY\r", b"\n", b"\r\r", b"\r\n\r\n\0\r\nQUIT\r"] {
        assert_eq!(refused_at_once(bytes), HeaderError::Missing, "{bytes:?}");
    }
    for bytes in [&b"PROXY T "[..], b"PROXY TCP5", b"PROXY U\r", b"PROXY UNKNOWN\n"] {
        assert_eq!(refused_at_once(bytes), HeaderError::Missing, "{bytes:?}");
    }
    for command in [0x00, 0x11, 0x22, 0x2f, 0x31, 0xff] {
        assert_eq!(refused_at_once(&v2(&[command])), HeaderError::Command, "{command:#x}");
    }
}

#[test]
fn a_malformed_address_is_rejected_at_the_end_of_its_line() {
    for rest in [
        "TCP4  1.2.3.4 5.6.7.8 1 2",
        "TCP4 1.2.3 5.6.7.8 1 2",
        "TCP4 1.2.3.4 256.6.7.8 1 2",
        "TCP4 1.2.3.4 05.6.7.8 1 2",
        "TCP4 ::1 ::1 1 2",
        "TCP4 1 2 3 4",
        "TCP4 1.2.3.4 5.6.7.8 65536 1",
        "TCP4 1.2.3.4 5.6.7.8 1",
        "TCP4 1.2.3.4 5.6.7.8 1 2 3",
        "TCP6 1::2:: ::1 1 2",
        "TCP6 1.2.3.4 5.6.7.8 1 2",
    ] {
        assert_eq!(refused_at_once(format!("PROXY {rest}\r\n").as_bytes()), HeaderError::Address, "{rest}");
    }
}

#[test]
fn a_line_is_rejected_at_the_first_byte_that_no_address_has() {
    for rest in [
        &b"TCP4 1.2.3.4 5.6.7.8 1 2\n"[..],
        b"TCP6 ::1 ::1 1 2\n",
        b"TCP4 \n",
        b"TCP4 1.2.3.4 5.6.7.8 1 2\r\r",
        b"TCP4 1.2.3.4 5.6.7.8 1 2\rG",
        b"TCP4 1.2.3.4 5.6.7.8 1 2\0",
        b"TCP4 1.2.3.4\t",
        b"TCP4 1.2.3.4 5.6.7.8 +",
        b"TCP4 1.2.3.4 5.6.7.8 -",
        b"TCP6 fe80::1%",
        b"TCP6 [",
        b"TCP6 \xc3",
        b"TCP4 g",
    ] {
        let line = [b"PROXY ", rest].concat();
        assert_eq!(refused_at_once(&line), HeaderError::Address, "{:?}", String::from_utf8_lossy(&line));
    }
}

#[test]
fn an_unknown_binary_family_is_rejected_at_its_byte() {
    for family in [0x03, 0x0f, 0x13, 0x40, 0x41, 0xff] {
        assert_eq!(refused_at_once(&v2(&[0x21, family])), HeaderError::Address, "{family:#x}");
    }
}

#[test]
fn binary_addresses_that_are_too_short_are_rejected_at_their_length() {
    for (family, missing) in [(0x11, 11), (0x21, 35), (0x31, 215), (0x12, 0)] {
        assert_eq!(refused_at_once(&v2(&[0x21, family, 0, missing])), HeaderError::Address, "{family:#x}");
    }
}

#[test]
fn every_form_of_an_ipv6_address_is_parsed() {
    for text in [
        "::",
        "1::",
        "::1:2",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "fFfF::10.0.0.255",
        "1:2:3:4:5:6:1.2.3.4",
    ] {
        let header = read(format!("PROXY TCP6 {text} ::1 0 65535\r\n").as_bytes());
        assert_eq!(header.source.map(|source| source.ip()), text.parse().ok());
    }
}

#[test]
fn addresses_of_an_unknown_connection_are_ignored() {
    assert_eq!(read(b"PROXY UNKNOWN \n or \xff or \r, it does not matter\r\n"), Header::default());
}

#[test]
fn a_line_has_at_most_107_bytes() {
    let unknown = |len: usize| format!("PROXY UNKNOWN {}\r\n", "f".repeat(len - 16)).into_bytes();
    assert_eq!(read(&unknown(107)), Header::default());
    assert_eq!(refused(&unknown(108)), HeaderError::TooLong);
    assert_eq!(refused_at_once(&unknown(200)[..107]), HeaderError::TooLong);
    assert_eq!(parse(&unknown(107)[..106]), Parsed::Incomplete);
}

#[test]
fn a_binary_header_has_at_most_4_kib() {
    let len: u16 = 4096 - 16;
    let mut longest = v2(&[0x21, 0]);
    longest.extend(len.to_be_bytes());
    longest.push(0x04);
    longest.extend((len - 3).to_be_bytes());
    longest.resize(4096, b'.');
    assert_eq!(read(&longest).tlvs[0].1.len(), 4096 - 16 - 3);

    assert_eq!(
        refused_at_once(&v2(&[&[0x21, 0], &(len + 1).to_be_bytes()[..]].concat())),
        HeaderError::TooLong
    );
    assert_eq!(refused_at_once(&v2(b"\x20\0\xff\xff")), HeaderError::TooLong);
}

#[test]
fn the_contents_of_a_local_header_are_ignored() {
    assert_eq!(read(&v2(b"\x20\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02")), Header::default());
    assert_eq!(read(&v2(b"\x20\xff\0\x03abc")), Header::default());
}

#[test]
fn addresses_of_other_families_are_ignored() {
    let unix = [&b"\x21\x31\0\xdd"[..], &[b'/'; 216], b"\x05\0\x02id"].concat();
    let unspecified = b"\x21\0\0\x05\x05\0\x02id".to_vec();
    for bytes in [unix, unspecified] {
        let header = read(&v2(&bytes));
        assert_eq!((header.source, header.destination), (None, None));
        assert_eq!(*header.tlvs, [(0x05, Box::from(*b"id"))]);
    }
}

#[test]
fn datagram_addresses_are_parsed() {
    let header = read(&v2(b"\x21\x12\0\x0c\x7f\0\0\x01\x7f\0\0\x02\0\x01\0\x02"));
    assert_eq!((header.source, header.destination), (address("127.0.0.1:1"), address("127.0.0.2:2")));
}

#[test]
fn malformed_tlvs_are_rejected() {
    for tlvs in [&b"\x04"[..], b"\x04\0", b"\x04\0\x01", b"\x04\0\x02a", b"\x04\xff\xffa", b"\x04\0\0\x04"] {
        let len = [0, u8::try_from(tlvs.len()).unwrap()];
        assert_eq!(refused(&v2(&[&[0x21, 0], &len[..], tlvs].concat())), HeaderError::Tlv, "{tlvs:?}");
    }
}

#[test]
fn errors_end_a_sentence() {
    assert_eq!(refused(b"GET / HTTP/1.1").to_string(), "no PROXY header");
}

#[test]
fn a_text_header_is_written() {
    let line = |source, destination| header(Version::One, source, destination);
    assert_eq!(
        line(address("192.0.2.1:5000"), address("192.0.2.9:80")),
        "PROXY TCP4 192.0.2.1 192.0.2.9 5000 80\r\n"
    );
    assert_eq!(
        line(address("[::1]:5000"), address("[2001:db8::1]:80")),
        "PROXY TCP6 ::1 2001:db8::1 5000 80\r\n"
    );
    for (source, destination) in
        [(None, address("192.0.2.9:80")), (address("192.0.2.1:5000"), None), (None, None)]
    {
        assert_eq!(line(source, destination), "PROXY UNKNOWN\r\n");
    }
}

#[test]
fn a_binary_header_is_written() {
    let binary = |source, destination| header(Version::Two, source, destination).to_vec();
    let expected = v2(b"\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x09\x13\x88\0\x50");
    assert_eq!(binary(address("192.0.2.1:5000"), address("192.0.2.9:80")), expected);
    let expected = v2(b"\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x13\x88\0\x50");
    assert_eq!(binary(address("[::1]:5000"), address("[2001:db8::1]:80")), expected);
    for (source, destination) in
        [(None, address("192.0.2.9:80")), (address("192.0.2.1:5000"), None), (None, None)]
    {
        assert_eq!(binary(source, destination), v2(b"\x20\0\0\0"));
    }
}

#[test]
fn addresses_of_two_families_are_written_as_one() {
    for version in [Version::One, Version::Two] {
        let written = |source, destination| {
            let header = read(&header(version, address(source), address(destination)));
            (header.source.unwrap().to_string(), header.destination.unwrap().to_string())
        };
        let of = |source: &str, destination: &str| (source.to_owned(), destination.to_owned());
        assert_eq!(written("[::ffff:192.0.2.1]:5", "192.0.2.9:80"), of("192.0.2.1:5", "192.0.2.9:80"));
        assert_eq!(
            written("[::ffff:192.0.2.1]:5", "[::ffff:192.0.2.9]:80"),
            of("192.0.2.1:5", "192.0.2.9:80")
        );
        assert_eq!(written("192.0.2.1:5", "[::1]:80"), of("[::ffff:192.0.2.1]:5", "[::1]:80"));
        assert_eq!(written("[::1]:5", "192.0.2.9:80"), of("[::1]:5", "[::ffff:192.0.2.9]:80"));
    }
}
