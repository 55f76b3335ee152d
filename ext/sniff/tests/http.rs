//! The head of an HTTP request, and the preface of HTTP/2.

mod common;

use common::{Answer, capture, damaged, foreign_at, found_at, is_settled};
use proptest::prelude::*;
use proxymachine_sniff::Miss;
use proxymachine_sniff::http::{
    LONGEST_HEAD, LONGEST_METHOD, MOST_HEADERS, Opening, PREFACE, Request, request,
};

const CAPTURES: [&str; 5] = ["curl", "curl_post", "curl_to_proxy", "curl_connect", "curl_http2"];

fn bytes(name: &str) -> Vec<u8> {
    capture(&format!("http/{name}"))
}

fn answer(data: &[u8]) -> Answer {
    request(data).map(|found| {
        let derived = if let Opening::Request(request) = &found {
            format!("{:?} {:?}", request.authority(), request.path())
        } else {
            String::new()
        };
        format!("{found:?} {derived}")
    })
}

fn parse(data: &[u8]) -> Request<'_> {
    match request(data) {
        Ok(Opening::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn head_size(data: &[u8]) -> usize {
    data.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4
}

/// Method, target, host, port and path.
fn parts(data: &[u8]) -> String {
    let found = parse(data);
    let authority = found.authority();
    let host = authority.map_or("-", |authority| authority.host);
    let port = authority.and_then(|authority| authority.port).unwrap_or_default();
    format!("{} {} {host} {port} {}", found.method, found.target, found.path().unwrap_or("-"))
}

fn get(target: &str, host: &str) -> String {
    parts(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
}

#[test]
fn real_clients_are_understood() {
    let curl = bytes("curl");
    let found = parse(&curl);
    assert_eq!((found.method, found.target, found.minor_version), ("GET", "/cats?color=black", 1));
    assert_eq!((found.path(), found.size), (Some("/cats"), curl.len()));
    assert_eq!(found.headers[2], ("Accept", &b"*/*"[..]));
    assert_eq!(found.headers.len(), 5);
    assert_eq!(found.authority().unwrap().host, "www.example.com");

    let post = bytes("curl_post");
    assert_eq!(parts(&post), "POST /form shop.example.com 0 /form");
    assert_eq!(&post[parse(&post).size..], b"a=b&c=d");

    let to_proxy = bytes("curl_to_proxy");
    assert_eq!(parts(&to_proxy), "GET http://www.example.com/page?x=1 www.example.com 0 /page");
    assert_eq!(parts(&bytes("curl_connect")), "CONNECT www.example.com:8443 www.example.com 8443 -");
    assert_eq!(request(&bytes("curl_http2")), Ok(Opening::Http2));
}

#[test]
fn every_prefix_is_incomplete() {
    for name in &CAPTURES[..4] {
        let data = bytes(name);
        found_at(&data, head_size(&data), answer);
    }
    found_at(&bytes("curl_http2"), PREFACE.len(), answer);
}

#[test]
fn the_target_names_the_host_before_the_header_does() {
    assert_eq!(get("http://a.example:81/x", "b.example:82"), "GET http://a.example:81/x a.example 81 /x");
    assert_eq!(get("http://a.example", "b.example"), "GET http://a.example a.example 0 /");
    assert_eq!(get("http://a.example?q=1", "b.example"), "GET http://a.example?q=1 a.example 0 /");
    assert_eq!(get("http://user@a.example/", "b.example"), "GET http://user@a.example/ - 0 /");
    assert_eq!(get("/go?to=http://a.example/", "b.example"), "GET /go?to=http://a.example/ b.example 0 /go");
    assert_eq!(get("*", "b.example"), "GET * b.example 0 *");
}

#[test]
fn a_host_is_read_with_its_port() {
    assert_eq!(get("/", "a.example:8080"), "GET / a.example 8080 /");
    assert_eq!(get("/", "a.example:"), "GET / a.example 0 /");
    assert_eq!(get("/", "192.0.2.1:80"), "GET / 192.0.2.1 80 /");
    assert_eq!(get("/", "[::1]"), "GET / ::1 0 /");
    assert_eq!(get("/", "[2001:db8::1]:80"), "GET / 2001:db8::1 80 /");
}

#[test]
fn what_is_no_host_is_none() {
    for host in [
        "", ":80", "a b", "a/b", "u@a", "a:b", "a:80:90", "a:65536", "a:+80", "[::1", "[::1]80", "[a]",
        "::1", "\u{e9}",
    ] {
        assert_eq!(get("/", host), "GET / - 0 /", "{host}");
    }
    assert_eq!(parts(b"GET / HTTP/1.0\r\n\r\n"), "GET / - 0 /");
}

#[test]
fn two_hosts_are_foreign() {
    foreign_at(b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 36, answer);
}

#[test]
fn other_protocols_are_foreign_at_the_first_byte_that_tells() {
    for first in [0, 4, 5, 22, b' ', b'\r', b'\n', b'{', b'[', b'<', 128, 255] {
        assert_eq!(answer(&[first]), Err(Miss::Foreign), "{first}");
    }
    foreign_at(b"SSH-2.0-OpenSSH_9.2\r\n", 20, answer);
    foreign_at(b"PING\r\n", 5, answer);
    foreign_at(b"GET / HTTP/2.0\r\n\r\n", 12, answer);
    foreign_at(b"PRI * HTTP/2.0\r\n\r\nSX", 20, answer);
    foreign_at(b"GET / HTTP/1.1\r\nno colon\r\n", 19, answer);
    foreign_at(b"GET / HTTP/1.1\r\nHost : a\r\n", 21, answer);
    foreign_at(b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 23, answer);
}

#[test]
fn a_method_has_a_bound() {
    let longest = "M".repeat(LONGEST_METHOD);
    let data = format!("{longest} / HTTP/1.1\r\n\r\n");
    found_at(data.as_bytes(), data.len(), answer);
    foreign_at("M".repeat(LONGEST_METHOD + 9).as_bytes(), LONGEST_METHOD + 1, answer);
    assert_eq!(answer(format!("M{data}").as_bytes()), Err(Miss::Foreign));
}

#[test]
fn the_number_of_headers_has_a_bound() {
    let head = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(parse(head(MOST_HEADERS).as_bytes()).headers.len(), MOST_HEADERS);
    assert_eq!(answer(head(MOST_HEADERS + 1).as_bytes()), Err(Miss::Foreign));
}

#[test]
fn the_head_has_a_bound() {
    let head = |size: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(size - 23));
    let longest = head(LONGEST_HEAD);
    assert_eq!(parse(longest.as_bytes()).size, LONGEST_HEAD);
    assert_eq!(answer(&longest.as_bytes()[..LONGEST_HEAD - 1]), Err(Miss::Incomplete));
    let longer = head(LONGEST_HEAD + 1);
    assert_eq!(answer(longer.as_bytes()), Err(Miss::Foreign));
    assert_eq!(answer(&longer.as_bytes()[..LONGEST_HEAD]), Err(Miss::Foreign));
}

proptest! {
    #[test]
    fn any_bytes_are_settled_once(data: Vec<u8>, text in "[ -~\r\n]{0,100}") {
        is_settled(&data, answer);
        is_settled(text.as_bytes(), answer);
        is_settled(format!("GET / HTTP/1.1\r\n{text}\r\n\r\n").as_bytes(), answer);
    }

    #[test]
    fn damaged_requests_are_settled_once(data in damaged(CAPTURES.map(bytes).to_vec())) {
        is_settled(&data, answer);
    }
}
