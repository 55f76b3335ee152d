//! The ClientHello.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, found_at, is_settled, mismatch_at};
use proptest::prelude::*;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::tls::{MAX_HELLO_SIZE, client_hello, version_name};

const CAPTURES: [&str; 5] =
    ["openssl", "openssl_tls12_alpn", "openssl_without_sni", "openssl_in_three_records", "curl"];

fn hello(name: &str) -> Vec<u8> {
    capture(&format!("tls/{name}"))
}

fn answer(data: &[u8]) -> Answer {
    client_hello(data).map(|found| {
        format!(
            "{:?} {:?} {:x?}",
            found.sni().map(|name| name.to_string()),
            found.alpn().map(String::from_utf8_lossy).collect::<Vec<_>>(),
            found.versions().collect::<Vec<_>>()
        )
    })
}

/// Prepends the length in `WIDTH` bytes.
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

/// Returns the handshake message of a TLS 1.2 client with these extensions.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let fixed =
        [&[3, 3][..], &[7; 32], &sized::<1>(&[1; 32]), &sized::<2>(&[0x13, 1]), &sized::<1>(&[0])].concat();
    let body = if extensions.is_empty() { fixed } else { [fixed, sized::<2>(&extensions.concat())].concat() };
    [vec![1], sized::<3>(&body)].concat()
}

/// Splits a message into records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|part| [vec![22, 3, 1], sized::<2>(part)].concat()).collect()
}

fn with(extensions: &[Vec<u8>]) -> Answer {
    answer(&records(&message(extensions), 1 << 14))
}

#[test]
fn captures_of_real_clients_are_parsed() {
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
    assert_eq!(long.sni().unwrap().to_string(), "shop.example.com");
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
fn a_hello_may_be_split_into_records_of_any_size() {
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
fn grease_is_left_out() {
    let found = with(&[
        extension(0x0a0a, b""),
        alpn(&[&[0x1a, 0x1a], b"h2", b"\x0a\x1a"]),
        versions(&[0xfafa, 0x0304, 0x7f1c]),
        extension(0xeaea, b"\0"),
    ]);
    assert_eq!(found, Ok("None [\"h2\", \"\\n\\u{1a}\"] [304, 7f1c]".to_owned()));
}

#[test]
fn a_hello_without_extensions_is_parsed() {
    assert_eq!(with(&[]), Ok("None [] [303]".to_owned()));
    assert_eq!(version_name(0x0303), Some("TLS 1.2"));
    assert_eq!(version_name(0x7f1c), None);
}

fn sni(name: &[u8]) -> Option<String> {
    let data = records(&message(&[server_name(name)]), 1 << 14);
    let found = client_hello(&data).unwrap();
    assert_eq!(found.raw_sni(), Some(name));
    found.sni().map(|name| name.to_string())
}

#[test]
fn a_name_has_a_normal_form() {
    let long = "a".repeat(63);
    for (name, expected) in [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("_dmarc.example", "_dmarc.example"),
        ("foo-.example", "foo-.example"),
        ("-foo.example", "-foo.example"),
        ("a--b.example", "a--b.example"),
        ("a~b.example", "a~b.example"),
        ("1.2", "1.2"),
        ("XN--bcher-kva.example", "xn--bcher-kva.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("localhost", "localhost"),
        (&long, &long),
    ] {
        assert_eq!(sni(name.as_bytes()), Some(expected.to_owned()));
    }
}

#[test]
fn an_invalid_name_is_no_sni() {
    let long = "a".repeat(64);
    let longest = "a.".repeat(126) + "a";
    let longer = longest.clone() + "a";
    for name in [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "a b",
        "a/b",
        "a\0.example",
        "a:443",
        "[::1]",
        "::1",
        "a%2eb",
        "a,b",
        "a@b",
        "*.example",
        "\u{e9}.example",
        &long,
        &longer,
    ] {
        assert_eq!(sni(name.as_bytes()), None, "{name:?}");
    }
    assert_eq!(longest.len(), 253);
    assert_eq!(sni(longest.as_bytes()), Some(longest.clone()));
    assert_eq!(sni(format!("{longest}.").as_bytes()), Some(longest));
    assert_eq!(client_hello(&hello("openssl_without_sni")).unwrap().raw_sni(), None);
}

#[test]
fn malformed_extensions_mismatch() {
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
        assert_eq!(with(&extensions), Err(SniffError::Mismatch), "{extensions:x?}");
    }
}

#[test]
fn bytes_after_the_extensions_mismatch() {
    let mut body = message(&[versions(&[0x0304])]).split_off(4);
    body.push(0);
    assert_eq!(answer(&records(&[vec![1], sized::<3>(&body)].concat(), 999)), Err(SniffError::Mismatch));
}

#[test]
fn other_protocols_mismatch_at_the_first_byte_that_differs() {
    begins_with_one_of(&[22], answer);
    mismatch_at(b"\x16\x02", 2, answer);
    mismatch_at(b"\x16\x03\x01\0\0", 5, answer); // an empty record
    mismatch_at(b"\x16\x03\x01\x40\x01", 5, answer); // one that is too long
    mismatch_at(b"\x16\x03\x03\0\x05\x02", 6, answer); // a ServerHello
    mismatch_at(b"\x16\x03\x01\0\x02\x01\0\x15\x03\x03\0\x02", 8, answer); // an alert inside the hello
    mismatch_at(b"\x16\x03\x01\x40\x00\x01\x01\x00\x01", 9, answer); // too long
}

#[test]
fn a_hello_of_the_maximum_size_is_parsed() {
    let padding = MAX_HELLO_SIZE - message(&[]).len() - 2;
    let longest = message(&[extension(21, &vec![0; padding])]);
    assert_eq!(longest.len(), 4 + MAX_HELLO_SIZE);
    assert_eq!(answer(&records(&longest, 1 << 14)), Ok("None [] [303]".to_owned()));
}

proptest! {
    #[test]
    fn any_bytes_have_one_result(data: Vec<u8>) {
        is_settled(&data, answer);
        is_settled(&records(&data, 20), answer);
        is_settled(&records(&[vec![1], sized::<3>(&data)].concat(), 20), answer);
    }

    #[test]
    fn damaged_hellos_have_one_result(data in damaged(CAPTURES.map(hello).to_vec())) {
        is_settled(&data, answer);
    }

    #[test]
    fn any_extension_has_one_result(kind in prop::sample::select(vec![0_u16, 16, 43]), content: Vec<u8>) {
        let found = with(&[extension(kind, &content)]);
        prop_assert_ne!(found, Err(SniffError::Incomplete));
    }
}
