//! The request of a `git://` client.

mod common;

use common::{Answer, begins_with_one_of, capture, damaged, found_at, is_settled, mismatch_at};
use proptest::prelude::*;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::git::{MAX_REQUEST_SIZE, request};

const CAPTURES: [&str; 4] = ["fetch", "fetch_version0", "push", "archive"];

fn bytes(name: &str) -> Vec<u8> {
    capture(&format!("git/{name}"))
}

fn answer(data: &[u8]) -> Answer {
    request(data).map(|found| format!("{found:?} {:?}", found.parameters().collect::<Vec<_>>()))
}

/// Prepends the size of a pkt-line.
fn line(content: &[u8]) -> Vec<u8> {
    [format!("{:04x}", content.len() + 4).as_bytes(), content].concat()
}

/// Returns command, path, host, port and parameters as text.
fn parts(data: &[u8]) -> String {
    let found = request(data).unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let host = found.authority.map_or("-".into(), |authority| authority.host.to_string());
    let port = found.authority.and_then(|authority| authority.port).unwrap_or_default();
    let parameters = found.parameters().map(text).collect::<Vec<_>>().join(" ");
    format!("{} {} {host} {port} [{parameters}]", found.command, text(found.path))
}

fn size(data: &[u8]) -> usize {
    usize::from_str_radix(std::str::from_utf8(&data[..4]).unwrap(), 16).unwrap()
}

#[test]
fn captures_of_real_clients_are_parsed() {
    let fetch = parts(&bytes("fetch"));
    assert!(fetch.starts_with("git-upload-pack /alice/project.git 127.0.0.1 "), "{fetch}");
    assert!(fetch.ends_with(" [version=2]"), "{fetch}");
    let old = parts(&bytes("fetch_version0"));
    assert!(old.starts_with("git-upload-pack /alice/project.git localhost "), "{old}");
    assert!(old.ends_with(" []"), "{old}");
    assert!(parts(&bytes("push")).starts_with("git-receive-pack /alice/project.git "));
    assert!(parts(&bytes("archive")).starts_with("git-upload-archive /alice/project.git "));
}

#[test]
fn every_prefix_is_incomplete() {
    for name in CAPTURES {
        let data = bytes(name);
        found_at(&[&data[..], b"0000"].concat(), size(&data), answer);
    }
}

#[test]
fn optional_parts_are_parsed() {
    let host = b"git-upload-pack /project.git\0host=myserver.com\0";
    assert_eq!(parts(&line(host)), "git-upload-pack /project.git myserver.com 0 []");
    assert_eq!(
        parts(&line(&[host, &b"\0version=2\0x\0"[..]].concat())),
        "git-upload-pack /project.git myserver.com 0 [version=2 x]"
    );
    assert_eq!(parts(&line(b"git-upload-pack /p\0host=[::1]:9418\0")), "git-upload-pack /p ::1 9418 []");
    assert_eq!(parts(&line(b"git-upload-pack /p\0HOST=a:1\0")), "git-upload-pack /p a 1 []");
    assert_eq!(parts(&line(b"git-upload-pack /p\0host=My-.Test.:9\0")), "git-upload-pack /p my-.test 9 []");
    let named = line(b"git-upload-pack /p\0host=Blue.test.\0");
    assert_eq!(request(&named).unwrap().authority.unwrap().text, "Blue.test.");
    assert_eq!(parts(&line(b"git-upload-pack /p\0\0version=1\0")), "git-upload-pack /p - 0 [version=1]");
    assert_eq!(parts(&line(b"git-upload-pack /p\0host=a b\0")), "git-upload-pack /p - 0 []");
    assert_eq!(parts(&line(b"git-upload-pack /p\0")), "git-upload-pack /p - 0 []");
    assert_eq!(parts(&line(b"git-upload-pack /p q\n")), "git-upload-pack /p q - 0 []");
    assert_eq!(request(b"0015git-upload-pack \xff").unwrap().path, b"\xff");
}

#[test]
fn hex_digits_may_be_upper_case() {
    let data = line(b"git-upload-pack /projects/long.git\0host=a\0\0version=2\0");
    assert_eq!(
        parts(&data.to_ascii_uppercase()[..4].iter().chain(&data[4..]).copied().collect::<Vec<_>>()),
        parts(&data)
    );
}

#[test]
fn malformed_requests_mismatch() {
    for content in [
        &b"git-upload-pack "[..],
        b"git-upload-pack \n",
        b"git-upload-pack \0host=a\0",
        b"git-upload-pack /p\0port=1\0",
        b"git-upload-pack /p\0host=a\0version=2\0",
    ] {
        assert_eq!(request(&line(content)), Err(SniffError::Mismatch), "{content:?}");
    }
    assert_eq!(request(b"0014git-upload-pack /"), Err(SniffError::Mismatch), "no room for a path");
    assert_eq!(request(b"0010git-upload-pack /"), Err(SniffError::Mismatch), "no room for the command");
}

#[test]
fn other_protocols_mismatch_at_the_first_byte_that_differs() {
    begins_with_one_of(b"0123456789abcdefABCDEF", answer);
    mismatch_at(b"003x", 4, answer);
    mismatch_at(b"fff1", 4, answer);
    mismatch_at(b"0000", 4, answer);
    mismatch_at(b"0014", 4, answer);
    mismatch_at(b"003egit-x", 9, answer);
    mismatch_at(b"003egit-upload-x", 16, answer);
    mismatch_at(b"003egit-upload-packs", 20, answer);
}

#[test]
fn a_request_has_a_maximum_size() {
    let data = line(&[b"git-upload-pack /", &vec![b'p'; MAX_REQUEST_SIZE - 21][..]].concat());
    assert_eq!(request(&data).unwrap().size, MAX_REQUEST_SIZE);
    assert_eq!(request(&data[..MAX_REQUEST_SIZE - 1]), Err(SniffError::Incomplete));
}

proptest! {
    #[test]
    fn any_bytes_have_one_result(data: Vec<u8>) {
        is_settled(&data, answer);
        is_settled(&line(&[b"git-upload-pack ", &data[..]].concat()), answer);
    }

    #[test]
    fn damaged_requests_have_one_result(data in damaged(CAPTURES.map(bytes).to_vec())) {
        is_settled(&data, answer);
    }
}
