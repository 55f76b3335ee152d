//! The ClientHello.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, foreign_at, found_at, is_settled};
use proptest::prelude::*;
use proxymachine_sniff::Miss;
use proxymachine_sniff::tls::{LONGEST_HELLO, client_hello, version_name};

const CAPTURES: [&str; 5] =
    ["openssl", "openssl_tls12_alpn", "openssl_without_sni", "openssl_in_three_records", "curl"];

fn hello(name: &str) -> Vec<u8> {
    capture(&format!("tls/{name}"))
}

fn answer(data: &[u8]) -> Answer {
    client_hello(data).map(|found| {
        format!(
            "{:?} {:?} {:x?}",
            found.sni(),
            found.alpn().map(String::from_utf8_lossy).collect::<Vec<_>>(),
            found.versions().collect::<Vec<_>>()
        )
    })
}

/// Each with its length before it, in `WIDTH` bytes.
fn sized<const WIDTH: usize>(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[length.len() - WIDTH..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized::<2>(content)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &sized::<2>(&[&[0][..], &sized::<2>(name)].concat()))
}

fn alpn(names: &[&[u8]]) -> Vec<u8> {
    extension(16, &sized::<2>(&names.iter().flat_map(|name| sized::<1>(name)).collect::<Vec<_>>()))
}

fn versions(versions: &[u16]) -> Vec<u8> {
    extension(43, &sized::<1>(&versions.iter().flat_map(|version| version.to_be_bytes()).collect::<Vec<_>>()))
}

/// The handshake message of a TLS 1.2 client with these extensions.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let fixed =
        [&[3, 3][..], &[7; 32], &sized::<1>(&[1; 32]), &sized::<2>(&[0x13, 1]), &sized::<1>(&[0])].concat();
    let body = if extensions.is_empty() { fixed } else { [fixed, sized::<2>(&extensions.concat())].concat() };
    [vec![1], sized::<3>(&body)].concat()
}

/// In records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [vec![22, 3, 1], sized::<2>(part)].concat()).collect()
}

fn with(extensions: &[Vec<u8>]) -> Answer {
    answer(&records(&message(extensions), 1 << 14))
}

#[test]
fn real_clients_are_understood() {
    let all = "[304, 303, 302, 301]";
    let expected = [
        format!("Some(\"shop.example.com\") [] {all}"),
        "Some(\"shop.example.com\") [\"h2\", \"http/1.1\"] [303]".to_owned(),
        format!("None [] {all}"),
    ];
    for (name, expected) in CAPTURES.iter().zip(expected) {
        assert_eq!(answer(&hello(name)), Ok(expected), "{name}");
    }
    assert_eq!(answer(&hello("curl")), Ok(format!("Some(\"www.example.com\") [\"h2\", \"http/1.1\"] {all}")));

    let long = hello("openssl_in_three_records");
    let long = client_hello(&long).unwrap();
    assert_eq!(long.sni(), Some("shop.example.com"));
    assert_eq!(long.alpn().count(), 60);
    assert_eq!(long.alpn().last(), Some(&b"protocol-60"[..]));
}

#[test]
fn every_prefix_is_incomplete() {
    for name in CAPTURES {
        let data = hello(name);
        found_at(&[&data[..], b"and more"].concat(), data.len(), answer);
    }
}

#[test]
fn a_hello_in_tiny_records_is_the_same() {
    let message = message(&[server_name(b"a.example"), alpn(&[b"h2"]), versions(&[0x0304])]);
    for size in 1..message.len() {
        let data = records(&message, size);
        assert_eq!(
            answer(&data),
            Ok("Some(\"a.example\") [\"h2\"] [304]".to_owned()),
            "in records of {size} bytes"
        );
        if size < 9 {
            found_at(&data, data.len(), answer);
        }
    }
}

#[test]
fn a_hello_is_found_before_its_record_ends() {
    let message = message(&[server_name(b"a.example")]);
    let data = records(&[&message[..], &[9; 100]].concat(), 1 << 14);
    found_at(&data, 5 + message.len(), answer);
}

#[test]
fn grease_is_skipped() {
    let found = with(&[
        extension(0x0a0a, b""),
        alpn(&[&[0x1a, 0x1a], b"h2", b"\x0a\x1a"]),
        versions(&[0xfafa, 0x0304, 0x7f1c]),
        extension(0xeaea, b"\0"),
    ]);
    assert_eq!(found, Ok("None [\"h2\", \"\\n\\u{1a}\"] [304, 7f1c]".to_owned()));
}

#[test]
fn an_old_hello_has_no_extensions() {
    assert_eq!(with(&[]), Ok("None [] [303]".to_owned()));
    assert_eq!(version_name(0x0303), Some("TLS 1.2"));
    assert_eq!(version_name(0x7f1c), None);
}

#[test]
fn a_name_is_kept_as_it_is_written() {
    for name in
        ["Example.COM", "example.com.", "_dmarc.example", "xn--bcher-kva.example", "192.0.2.1", "localhost"]
    {
        assert_eq!(with(&[server_name(name.as_bytes())]), Ok(format!("Some({name:?}) [] [303]")));
    }
}

#[test]
fn what_is_no_name_of_a_host_is_no_name() {
    let long = [b'a'; 64];
    let longer = [&b"a.".repeat(126)[..], b"aa"].concat();
    let bad: [&[u8]; 13] = [
        b"",
        b".",
        b"..",
        b"a..b",
        b".a",
        b"a b",
        b"a/b",
        b"a\0.example",
        b"-a",
        b"a-.b",
        b"\xc3\xa9.example",
        &long,
        &longer,
    ];
    for name in bad {
        assert_eq!(with(&[server_name(name)]), Ok("None [] [303]".to_owned()), "{name:?}");
    }
    assert_eq!(longer.len(), 254);
    assert!(with(&[server_name(&longer[1..])]).is_ok());
}

#[test]
fn malformed_extensions_are_foreign() {
    let twice = server_name(b"a.example");
    let two_names = [&[0][..], &sized::<2>(b"a"), &[0], &sized::<2>(b"b")].concat();
    for extensions in [
        vec![twice.clone(), twice],
        vec![extension(0, &sized::<2>(&two_names))],
        vec![extension(0, b"")],
        vec![extension(0, &sized::<2>(b""))],
        vec![extension(0, b"\0\x05\0\0\x09a")],
        vec![extension(0, b"\0\x04\0\0\x01aX")],
        vec![alpn(&[b"h2", b""])],
        vec![extension(16, b"\0\x02\x05h")],
        vec![extension(16, b"\0\x03\x02h2X")],
        vec![versions(&[0x0304]), versions(&[0x0303])],
        vec![extension(43, b"\x03\x03\x04\x03")],
        vec![vec![0, 99, 0, 5, 1]],
        vec![vec![0]],
    ] {
        assert_eq!(with(&extensions), Err(Miss::Foreign), "{extensions:x?}");
    }
}

#[test]
fn a_message_with_something_behind_its_extensions_is_foreign() {
    let mut body = message(&[versions(&[0x0304])]).split_off(4);
    body.push(0);
    assert_eq!(answer(&records(&[vec![1], sized::<3>(&body)].concat(), 999)), Err(Miss::Foreign));
}

#[test]
fn other_protocols_are_foreign_at_the_first_byte_that_tells() {
    begins_with_one_of(&[22], answer);
    foreign_at(b"\x16\x02", 2, answer);
    foreign_at(b"\x16\x03\x01\0\0", 5, answer); // an empty record
    foreign_at(b"\x16\x03\x01\x40\x01", 5, answer); // one that is too long
    foreign_at(b"\x16\x03\x03\0\x05\x02", 6, answer); // a ServerHello
    foreign_at(b"\x16\x03\x01\0\x02\x01\0\x15\x03\x03\0\x02", 8, answer); // an alert inside the hello
    foreign_at(b"\x16\x03\x01\x40\x00\x01\x01\x00\x01", 9, answer); // too long
}

#[test]
fn the_longest_hello_is_read() {
    let padding = LONGEST_HELLO - message(&[]).len() - 2;
    let longest = message(&[extension(21, &vec![0; padding])]);
    assert_eq!(longest.len(), 4 + LONGEST_HELLO);
    assert_eq!(answer(&records(&longest, 1 << 14)), Ok("None [] [303]".to_owned()));
}

proptest! {
    #[test]
    fn any_bytes_are_settled_once(data: Vec<u8>) {
        is_settled(&data, answer);
        is_settled(&records(&data, 20), answer);
        is_settled(&records(&[vec![1], sized::<3>(&data)].concat(), 20), answer);
    }

    #[test]
    fn damaged_hellos_are_settled_once(data in damaged(CAPTURES.map(hello).to_vec())) {
        is_settled(&data, answer);
    }

    #[test]
    fn any_extension_is_settled_once(kind in prop::sample::select(vec![0_u16, 16, 43]), content: Vec<u8>) {
        let found = with(&[extension(kind, &content)]);
        prop_assert_ne!(found, Err(Miss::Incomplete));
    }
}
