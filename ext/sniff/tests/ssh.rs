//! The identification string of SSH clients.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, found_at, is_settled, mismatch_at};
use proptest::prelude::*;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::ssh::{Banner, MAX_LINE_SIZE, banner};

fn openssh() -> Vec<u8> {
    capture("ssh/openssh")
}

fn answer(data: &[u8]) -> Answer {
    banner(data).map(|found| format!("{found:?}"))
}

fn parts(data: &[u8]) -> (&str, &str, Option<&str>, usize) {
    let Banner { version, software, comments, size } = banner(data).unwrap();
    (version, software, comments.map(|comments| std::str::from_utf8(comments).unwrap()), size)
}

#[test]
fn captures_of_real_clients_are_parsed() {
    assert_eq!(parts(&openssh()), ("2.0", "OpenSSH_9.2p1", Some("Debian-2+deb12u6"), 40));
}

#[test]
fn every_prefix_is_incomplete() {
    let data = openssh();
    found_at(&[&data[..], b"\0\0\x05\xdc"].concat(), data.len(), answer);
}

#[test]
fn optional_parts_are_parsed() {
    assert_eq!(parts(b"SSH-2.0-Go\r\n"), ("2.0", "Go", None, 12));
    assert_eq!(parts(b"SSH-2.0-Go\n"), ("2.0", "Go", None, 11));
    assert_eq!(parts(b"SSH-1.99-JSCH-0.1.54 \r\n"), ("1.99", "JSCH-0.1.54", Some(""), 23));
    assert_eq!(parts(b"SSH-2.0-a b c\r\n"), ("2.0", "a", Some("b c"), 15));
    assert_eq!(banner(b"SSH-2.0-a \xff\r\n").unwrap().comments, Some(&b"\xff"[..]));
}

#[test]
fn malformed_lines_mismatch() {
    for line in [
        "SSH-\n",
        "SSH-2.0\n",
        "SSH-2.0-\n",
        "SSH--a\n",
        "SSH-two-a\n",
        "SSH-.-a\n",
        "SSH-2.0 -a\n",
        "SSH-2.0-\u{e9}\n",
    ] {
        assert_eq!(banner(line.as_bytes()), Err(SniffError::Mismatch), "{line}");
    }
}

#[test]
fn other_protocols_mismatch_at_the_first_byte_that_differs() {
    begins_with_one_of(b"S", answer);
    mismatch_at(b"SSL", 3, answer);
    mismatch_at(b"SSH-2.0-a\0", 10, answer);
    mismatch_at(b"SSH-2.0-a\r\r", 11, answer);
    mismatch_at(b"SSH-2.0-a\rb", 11, answer);
}

#[test]
fn a_line_has_a_maximum_size() {
    let line = |size: usize| format!("SSH-2.0-{}\r\n", "a".repeat(size - 10));
    found_at(line(MAX_LINE_SIZE).as_bytes(), MAX_LINE_SIZE, answer);
    mismatch_at(line(MAX_LINE_SIZE + 1).as_bytes(), MAX_LINE_SIZE, answer);
}

proptest! {
    #[test]
    fn any_bytes_have_one_result(data: Vec<u8>, text in "[ -~\r\n]{0,300}") {
        is_settled(&data, answer);
        is_settled(format!("SSH-{text}").as_bytes(), answer);
    }

    #[test]
    fn damaged_lines_have_one_result(data in damaged(vec![openssh()])) {
        is_settled(&data, answer);
    }
}
