//! SOCKS 4, 4a and 5.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, found_at, is_settled, mismatch_at};
use proptest::prelude::*;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::socks::{Command, MAX_STRING_SIZE, Message, Request, request};

const CAPTURES: [&str; 5] =
    ["curl_socks4", "curl_socks4a", "curl_socks5", "curl_socks5h", "curl_socks5_ipv6"];

fn bytes(name: &str) -> Vec<u8> {
    capture(&format!("socks/{name}"))
}

/// Answers "incomplete" for a greeting, since it gives way to the request.
fn answer(data: &[u8]) -> Answer {
    match request(data) {
        Ok(Message::Greeting { .. }) => Err(SniffError::Incomplete),
        Ok(Message::Request(found)) => Ok(format!("{found:?}")),
        Err(miss) => Err(miss),
    }
}

fn parse(data: &[u8]) -> Request<'_> {
    match request(data) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Returns version, host, port and user as text.
fn parts(data: &[u8]) -> String {
    let found = parse(data);
    let user = found.user.map_or("-".into(), String::from_utf8_lossy);
    format!("{} {} {} {user}", found.version, found.host, found.port)
}

#[test]
fn captures_of_real_clients_are_parsed() {
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
    assert_eq!(request(b"\x05\x02\0"), Err(SniffError::Incomplete));
    assert_eq!(request(b"\x05\x02\0\x01"), Ok(Message::Greeting { methods: &[0, 1] }));
    assert_eq!(request(b"\x05\x02\0\x01\x05"), Err(SniffError::Incomplete));
    assert_eq!(request(b"\x05\x01\x02"), Ok(Message::Greeting { methods: &[2] }));
    assert_eq!(request(b"\x05\x01\x02\x01"), Err(SniffError::Mismatch), "nothing that we can read follows");
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
fn a_host_name_may_be_an_address_in_text_form() {
    assert_eq!(parts(b"\x04\x01\0\x50\0\0\0\x01\0::1\0"), "4 ::1 80 ");
    assert_eq!(parts(b"\x05\x01\0\x05\x01\0\x03\x09127.0.0.1\0\x50"), "5 127.0.0.1 80 -");
    assert_eq!(parts(b"\x05\x01\0\x05\x01\0\x03\x03::1\0\x50"), "5 ::1 80 -");
    assert_eq!(parts(b"\x05\x01\0\x05\x01\0\x03\x0a127.0.0.1.\0\x50"), "5 127.0.0.1 80 -");
    assert_eq!(parts(b"\x05\x01\0\x05\x01\0\x03\x09::FFFF:A0\0\x50"), "5 ::ffff:a0 80 -");
    assert_eq!(parts(b"\x04\x01\0\x50\0\0\0\x01\0[::1]\0"), "4 ::1 80 ");
}

#[test]
fn a_host_name_has_a_normal_form() {
    for (text, expected) in [
        ("Blue.TEST.", "blue.test"),
        ("-foo-.test", "-foo-.test"),
        ("_a~b", "_a~b"),
        ("db.", "db"),
        ("[::1]", "::1"),
    ] {
        let length = u8::try_from(text.len()).unwrap();
        let data = [&[5, 1, 0, 5, 1, 0, 3, length][..], text.as_bytes(), &[0, 80]].concat();
        assert_eq!(parts(&data), format!("5 {expected} 80 -"));
        assert_eq!(parse(&data).host_text, Some(text.as_bytes()));
    }
    assert_eq!(parse(b"\x04\x01\0\x50\x7f\0\0\x01\0").host_text, None);
    for text in [".", "..", "a..b", "a.test..", ".a", "fe80::1%lo", "[a]", "[::1", "::1]", "a:80", "a,b"] {
        let data = [b"\x04\x01\0\x50\0\0\0\x01\0", text.as_bytes(), b"\0"].concat();
        assert_eq!(answer(&data), Err(SniffError::Mismatch), "{text}");
    }
}

#[test]
fn other_protocols_mismatch_at_the_first_byte_that_differs() {
    begins_with_one_of(&[4, 5], answer);
    mismatch_at(b"\x04\x03", 2, answer);
    mismatch_at(b"\x05\0", 2, answer);
    mismatch_at(b"\x05\x01\0\x04", 4, answer);
    mismatch_at(b"\x05\x01\0\x05\x04", 5, answer);
    mismatch_at(b"\x05\x01\0\x05\x01\x01", 6, answer);
    mismatch_at(b"\x05\x01\0\x05\x01\0\x02", 7, answer);
    mismatch_at(b"\x05\x01\0\x05\x01\0\x03\0", 8, answer);
    mismatch_at(b"\x05\x01\0\x05\x01\0\x03\x03a/b", 11, answer);
    mismatch_at(b"\x04\x01\0\x50\0\0\0\x01\0a b\0", 13, answer);
}

#[test]
fn strings_have_a_maximum_size() {
    let of = |user: usize| [b"\x04\x01\0\x50\x7f\0\0\x01", &vec![b'u'; user][..], b"\0"].concat();
    found_at(&of(MAX_STRING_SIZE), 8 + MAX_STRING_SIZE + 1, answer);
    mismatch_at(&of(MAX_STRING_SIZE + 1), 8 + MAX_STRING_SIZE + 1, answer);
}

proptest! {
    #[test]
    fn any_bytes_have_one_result(mut data: Vec<u8>, version in 4..=5_u8) {
        is_settled(&data, answer);
        data.insert(0, version);
        is_settled(&data, answer);
    }

    #[test]
    fn damaged_requests_have_one_result(data in damaged(CAPTURES.map(bytes).to_vec())) {
        is_settled(&data, answer);
    }
}
