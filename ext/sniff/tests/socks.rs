//! SOCKS 4, 4a and 5.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, foreign_at, found_at, is_settled};
use proptest::prelude::*;
use proxymachine_sniff::Miss;
use proxymachine_sniff::socks::{Command, LONGEST_WORD, Request, Said, request};

const CAPTURES: [&str; 5] =
    ["curl_socks4", "curl_socks4a", "curl_socks5", "curl_socks5h", "curl_socks5_ipv6"];

fn bytes(name: &str) -> Vec<u8> {
    capture(&format!("socks/{name}"))
}

/// A greeting gives way to what follows, so for what is settled it counts as nothing yet.
fn answer(data: &[u8]) -> Answer {
    match request(data) {
        Ok(Said::Greeting { .. }) => Err(Miss::Incomplete),
        Ok(Said::Request(found)) => Ok(format!("{found:?}")),
        Err(miss) => Err(miss),
    }
}

fn parse(data: &[u8]) -> Request<'_> {
    match request(data) {
        Ok(Said::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Version, host, port and user.
fn parts(data: &[u8]) -> String {
    let found = parse(data);
    let user = found.user.map_or("-".into(), String::from_utf8_lossy);
    format!("{} {} {} {user}", found.version, found.host, found.port)
}

#[test]
fn real_clients_are_understood() {
    for (name, expected) in CAPTURES.iter().zip([
        "4 127.0.0.1 8080 bob",
        "4 www.example.com 80 bob",
        "5 127.0.0.1 8080 -",
        "5 www.example.com 80 -",
        "5 ::1 8080 -",
    ]) {
        let data = bytes(name);
        assert_eq!(parts(&data), expected);
        assert_eq!((parse(&data).command, parse(&data).size), (Command::Connect, data.len()));
    }
}

#[test]
fn every_prefix_is_incomplete() {
    for name in CAPTURES {
        let data = bytes(name);
        found_at(&[&data[..], b"and more"].concat(), data.len(), answer);
    }
}

#[test]
fn a_greeting_counts_until_something_follows_it() {
    assert_eq!(request(b"\x05\x02\0"), Err(Miss::Incomplete));
    assert_eq!(request(b"\x05\x02\0\x01"), Ok(Said::Greeting { methods: &[0, 1] }));
    assert_eq!(request(b"\x05\x02\0\x01\x05"), Err(Miss::Incomplete));
    assert_eq!(request(b"\x05\x01\x02"), Ok(Said::Greeting { methods: &[2] }));
    assert_eq!(request(b"\x05\x01\x02\x01"), Err(Miss::Foreign), "nothing that we can read follows");
}

#[test]
fn commands_are_told_apart() {
    assert_eq!(parse(b"\x04\x02\0\x50\x7f\0\0\x01\0").command, Command::Bind);
    assert_eq!(parse(b"\x05\x01\0\x05\x02\0\x01\x7f\0\0\x01\0\x50").command, Command::Bind);
    assert_eq!(parse(b"\x05\x01\0\x05\x03\0\x01\x7f\0\0\x01\0\x50").command, Command::UdpAssociate);
}

#[test]
fn version_4a_is_an_address_that_cannot_be() {
    assert_eq!(parts(b"\x04\x01\0\x50\0\0\0\x01\0a.example\0"), "4 a.example 80 ");
    assert_eq!(parts(b"\x04\x01\0\x50\0\0\0\0\0"), "4 0.0.0.0 80 ");
    assert_eq!(parts(b"\x04\x01\0\x50\0\0\x01\x01\0"), "4 0.0.1.1 80 ");
}

#[test]
fn names_may_be_addresses_in_words() {
    assert_eq!(parts(b"\x04\x01\0\x50\0\0\0\x01\0::1\0"), "4 ::1 80 ");
    assert_eq!(parts(b"\x05\x01\0\x05\x01\0\x03\x09127.0.0.1\0\x50"), "5 127.0.0.1 80 -");
    assert_eq!(parts(b"\x05\x01\0\x05\x01\0\x03\x03::1\0\x50"), "5 ::1 80 -");
}

#[test]
fn other_protocols_are_foreign_at_the_first_byte_that_tells() {
    begins_with_one_of(&[4, 5], answer);
    foreign_at(b"\x04\x03", 2, answer);
    foreign_at(b"\x05\0", 2, answer);
    foreign_at(b"\x05\x01\0\x04", 4, answer);
    foreign_at(b"\x05\x01\0\x05\x04", 5, answer);
    foreign_at(b"\x05\x01\0\x05\x01\x01", 6, answer);
    foreign_at(b"\x05\x01\0\x05\x01\0\x02", 7, answer);
    foreign_at(b"\x05\x01\0\x05\x01\0\x03\0", 8, answer);
    foreign_at(b"\x05\x01\0\x05\x01\0\x03\x03a/b", 11, answer);
    foreign_at(b"\x04\x01\0\x50\0\0\0\x01\0a b\0", 13, answer);
}

#[test]
fn words_have_a_bound() {
    let of = |user: usize| [b"\x04\x01\0\x50\x7f\0\0\x01", &vec![b'u'; user][..], b"\0"].concat();
    found_at(&of(LONGEST_WORD), 8 + LONGEST_WORD + 1, answer);
    foreign_at(&of(LONGEST_WORD + 1), 8 + LONGEST_WORD + 1, answer);
}

proptest! {
    #[test]
    fn any_bytes_are_settled_once(mut data: Vec<u8>, version in 4..=5_u8) {
        is_settled(&data, answer);
        data.insert(0, version);
        is_settled(&data, answer);
    }

    #[test]
    fn damaged_requests_are_settled_once(data in damaged(CAPTURES.map(bytes).to_vec())) {
        is_settled(&data, answer);
    }
}
