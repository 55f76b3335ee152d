//! What a load balancer says before the client's own bytes, read and written.

use std::net::SocketAddr;

use proxymachine_engine::proxy_protocol::{Header, Parsed, Refusal, Version, header, parse};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(following: &[u8]) -> Vec<u8> {
    [SIGNATURE, following].concat()
}

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

/// The header of these bytes, which are followed by a client's, and which no shorter ones are.
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
fn refused(bytes: &[u8]) -> Refusal {
    match parse(bytes) {
        Parsed::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// What `bytes` are refused for, which were a possible beginning until the last of them.
#[track_caller]
fn refused_at_once(bytes: &[u8]) -> Refusal {
    assert_eq!(parse(&bytes[..bytes.len() - 1]), Parsed::Incomplete);
    refused(bytes)
}

#[test]
fn haproxy_is_understood() {
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

/// As HAProxy sends it with `proxy-v2-options crc32c,unique-id`.
const WITH_CHECKSUM: &[u8] =
    b"\x21\x21\0\x37\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\
    \xac\x3c\x43\x9a\x03\0\x04\x30\xea\xba\xf5\x05\0\x09request-7";

#[test]
fn haproxys_tlvs_are_passed_on() {
    let header = read(&v2(WITH_CHECKSUM));
    assert_eq!((header.source, header.destination), (address("[::1]:44092"), address("[::1]:17306")));
    let tlvs: Vec<(u8, &[u8])> = header.tlvs.iter().map(|(kind, value)| (*kind, &**value)).collect();
    assert_eq!(tlvs, [(0x03, &b"\x30\xea\xba\xf5"[..]), (0x05, b"request-7")]);
}

#[test]
fn a_damaged_header_is_noticed_by_its_checksum() {
    let whole = v2(WITH_CHECKSUM);
    let lengths = [14, 15, whole.len() - 11, whole.len() - 10]; // they break more than the checksum
    let kinds = [12, 13, whole.len() - 19, whole.len() - 18, whole.len() - 17];
    for at in (12..whole.len()).filter(|at| !lengths.contains(at) && !kinds.contains(at)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert_eq!(refused(&damaged), Refusal::Checksum, "byte {at}");
    }
}

#[test]
fn a_checksum_has_four_bytes() {
    assert_eq!(refused(&v2(b"\x21\0\0\x06\x03\0\x03abc")), Refusal::Checksum);
}

#[test]
fn no_header_is_refused_at_its_first_wrong_byte() {
    for bytes in [&b"G"[..], b"PROXy", b"PROXYT", b"PROXY\r", b"\n", b"\r\r", b"\r\n\r\n\0\r\nQUIT\r"] {
        assert_eq!(refused_at_once(bytes), Refusal::Missing, "{bytes:?}");
    }
    for bytes in [&b"PROXY T "[..], b"PROXY TCP5", b"PROXY U\r", b"PROXY UNKNOWN\n"] {
        assert_eq!(refused_at_once(bytes), Refusal::Missing, "{bytes:?}");
    }
    for command in [0x00, 0x11, 0x22, 0x2f, 0x31, 0xff] {
        assert_eq!(refused_at_once(&v2(&[command])), Refusal::Command, "{command:#x}");
    }
}

#[test]
fn a_malformed_address_is_refused_when_its_line_has_ended() {
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
        "TCP4 1.2.3.4 5.6.7.8 1 2\r",
        "TCP6 1::2:: ::1 1 2",
        "TCP6 fe80::1%lo ::1 1 2",
        "TCP6 [::1] [::1] 1 2",
        "TCP6 1.2.3.4 5.6.7.8 1 2",
        "TCP6 \u{e9}::1 ::1 1 2",
    ] {
        assert_eq!(refused_at_once(format!("PROXY {rest}\r\n").as_bytes()), Refusal::Address, "{rest}");
    }
}

#[test]
fn a_malformed_binary_address_is_refused_when_it_has_come() {
    for family in [0x03, 0x0f, 0x13, 0x40, 0x41, 0xff] {
        assert_eq!(refused_at_once(&v2(&[0x21, family, 0, 0])), Refusal::Address, "{family:#x}");
    }
    for (family, missing) in [(0x11, 11), (0x21, 35), (0x31, 215)] {
        let bytes = [&[0x21, family, 0, missing][..], &vec![1; missing.into()]].concat();
        assert_eq!(refused_at_once(&v2(&bytes)), Refusal::Address, "{family:#x}");
    }
}

#[test]
fn every_form_of_an_ipv6_address_is_awaited() {
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
fn an_unknown_connections_addresses_are_ignored() {
    assert_eq!(read(b"PROXY UNKNOWN \n or \xff or \r, it does not matter\r\n"), Header::default());
}

#[test]
fn a_line_of_107_bytes_is_the_longest() {
    let unknown = |len: usize| format!("PROXY UNKNOWN {}\r\n", "f".repeat(len - 16)).into_bytes();
    assert_eq!(read(&unknown(107)), Header::default());
    assert_eq!(refused(&unknown(108)), Refusal::TooLong);
    assert_eq!(refused_at_once(&unknown(200)[..107]), Refusal::TooLong);
    assert_eq!(parse(&unknown(107)[..106]), Parsed::Incomplete);
}

#[test]
fn a_binary_header_of_4_kib_is_the_longest() {
    let len: u16 = 4096 - 16;
    let mut longest = v2(&[0x21, 0]);
    longest.extend(len.to_be_bytes());
    longest.push(0x04);
    longest.extend((len - 3).to_be_bytes());
    longest.resize(4096, b'.');
    assert_eq!(read(&longest).tlvs[0].1.len(), 4096 - 16 - 3);

    assert_eq!(refused_at_once(&v2(&[&[0x21, 0], &(len + 1).to_be_bytes()[..]].concat())), Refusal::TooLong);
    assert_eq!(refused_at_once(&v2(b"\x20\0\xff\xff")), Refusal::TooLong);
}

#[test]
fn a_local_header_is_skipped_whatever_it_contains() {
    assert_eq!(read(&v2(b"\x20\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x02")), Header::default());
    assert_eq!(read(&v2(b"\x20\xff\0\x03abc")), Header::default());
}

#[test]
fn addresses_that_are_not_of_the_internet_are_skipped() {
    let unix = [&b"\x21\x31\0\xdd"[..], &[b'/'; 216], b"\x05\0\x02id"].concat();
    let unspecified = b"\x21\0\0\x05\x05\0\x02id".to_vec();
    for bytes in [unix, unspecified] {
        let header = read(&v2(&bytes));
        assert_eq!((header.source, header.destination), (None, None));
        assert_eq!(*header.tlvs, [(0x05, Box::from(*b"id"))]);
    }
}

#[test]
fn an_address_of_a_datagram_counts() {
    let header = read(&v2(b"\x21\x12\0\x0c\x7f\0\0\x01\x7f\0\0\x02\0\x01\0\x02"));
    assert_eq!((header.source, header.destination), (address("127.0.0.1:1"), address("127.0.0.2:2")));
}

#[test]
fn malformed_tlvs_are_refused() {
    for tlvs in [&b"\x04"[..], b"\x04\0", b"\x04\0\x01", b"\x04\0\x02a", b"\x04\xff\xffa", b"\x04\0\0\x04"] {
        let len = [0, u8::try_from(tlvs.len()).unwrap()];
        assert_eq!(refused(&v2(&[&[0x21, 0], &len[..], tlvs].concat())), Refusal::Tlv, "{tlvs:?}");
    }
}

#[test]
fn a_refusal_ends_a_sentence() {
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
