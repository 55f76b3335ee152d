//! The head of an HTTP request, and the preface of HTTP/2.

mod common;

use common::{Answer, capture, damaged, found_at, is_settled, mismatch_at};
use proptest::prelude::*;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::http::{
    HTTP2_PREFACE, MAX_HEAD_SIZE, MAX_HEADERS, MAX_METHOD_SIZE, Message, Request, request,
};

const CAPTURES: [&str; 5] = ["curl", "curl_post", "curl_to_proxy", "curl_connect", "curl_http2"];

fn bytes(name: &str) -> Vec<u8> {
    capture(&format!("http/{name}"))
}

fn answer(data: &[u8]) -> Answer {
    request(data).map(|found| {
        let derived = if let Message::Request(request) = &found {
            format!("{:?} {:?}", request.authority(), request.path())
        } else {
            String::new()
        };
        format!("{found:?} {derived}")
    })
}

fn parse(data: &[u8]) -> Request<'_> {
    match request(data) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn head_size(data: &[u8]) -> usize {
    data.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4
}

/// Returns method, target, host, port and path as text.
fn parts(data: &[u8]) -> String {
    let found = parse(data);
    let authority = found.authority();
    let host = authority.map_or("-".into(), |authority| authority.host.to_string());
    let port = authority.and_then(|authority| authority.port).unwrap_or_default();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let path = found.path().map_or("-".into(), text);
    format!("{} {} {host} {port} {path}", found.method, text(found.target))
}

fn get(target: &str, host: &str) -> String {
    parts(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
}

#[test]
fn captures_of_real_clients_are_parsed() {
    let curl = bytes("curl");
    let found = parse(&curl);
    assert_eq!((found.method, found.target, found.minor_version), ("GET", &b"/cats?color=black"[..], 1));
    assert_eq!((found.path(), found.size), (Some(&b"/cats"[..]), curl.len()));
    assert_eq!(found.headers[2], ("Accept", &b"*/*"[..]));
    assert_eq!(found.headers.len(), 5);
    assert_eq!(found.authority().unwrap().host.to_string(), "www.example.com");

    let post = bytes("curl_post");
    assert_eq!(parts(&post), "POST /form shop.example.com 0 /form");
    assert_eq!(&post[parse(&post).size..], b"a=b&c=d");

    let to_proxy = bytes("curl_to_proxy");
    assert_eq!(parts(&to_proxy), "GET http://www.example.com/page?x=1 www.example.com 0 /page");
    assert_eq!(parts(&bytes("curl_connect")), "CONNECT www.example.com:8443 www.example.com 8443 -");
    assert_eq!(request(&bytes("curl_http2")), Ok(Message::Http2Preface));
}

#[test]
fn every_prefix_is_incomplete() {
    for name in &CAPTURES[..4] {
        let data = bytes(name);
        found_at(&data, head_size(&data), answer);
    }
    found_at(&bytes("curl_http2"), HTTP2_PREFACE.len(), answer);
}

#[test]
fn the_host_is_that_of_the_target_if_its_form_has_one() {
    assert_eq!(get("http://a.example:81/x", "A.example.:81"), "GET http://a.example:81/x a.example 81 /x");
    assert_eq!(get("http://a.example", "a.example:80"), "GET http://a.example a.example 0 /");
    assert_eq!(
        get("HTTPS://a.example:443?q=1", "a.example"),
        "GET HTTPS://a.example:443?q=1 a.example 443 /"
    );
    assert_eq!(get("ftp://[::1]/x", "[0:0::1]"), "GET ftp://[::1]/x ::1 0 /x");
    assert_eq!(get("/go?to=http://a.example/", "b.example"), "GET /go?to=http://a.example/ b.example 0 /go");
    assert_eq!(get("//a.example/x", "b.example"), "GET //a.example/x b.example 0 //a.example/x");
    let without_host = |target: &str| parts(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes());
    assert_eq!(without_host("http://A.example./x"), "GET http://A.example./x a.example 0 /x");
    for target in ["http://u@a.example/", "http:///", "http://a.example#@b/", "http://a\\@b/", "http://a:b/"]
    {
        assert!(without_host(target).contains(" - 0 /"), "{target}");
        assert!(get(target, "b.example").contains(" - 0 /"), "{target} does not fall back to Host");
    }
}

#[test]
fn a_target_and_a_host_header_that_differ_mismatch() {
    for (target, host) in [
        ("http://a.example/", "b.example"),
        ("http://a.example/", ""),
        ("http://a.example/", "a b"),
        ("http://a.example/", "u@a.example"),
        ("http://a.example/", "a.example, b.example"),
        ("http://a.example/", "a.example:81"),
        ("http://a.example:81/", "a.example"),
        ("https://a.example/", "a.example:80"),
        ("ftp://a.example/", "a.example:80"),
        ("http://[::1]/", "[::2]"),
    ] {
        let data = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        mismatch_at(data.as_bytes(), data.len(), answer);
    }
}

#[test]
fn a_target_of_no_form_mismatches() {
    for target in [
        "x?u=http://a.example/",
        "a.example:80",
        "a.example",
        "*",
        "**",
        "?",
        "http:/x",
        "http:x",
        "://a/",
        "1a://b/",
    ] {
        let data = format!("GET {target} HTTP/1.1\r\nHost: b.example\r\n\r\n");
        assert_eq!(answer(data.as_bytes()), Err(SniffError::Mismatch), "{target}");
    }
    assert_eq!(parts(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS * a 0 *");
}

#[test]
fn connect_has_a_host_and_a_port() {
    let connect = |target: &str, host: &str| format!("CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["A.example.:443", "a.example"] {
        let data = connect("a.example:443", host);
        assert_eq!(parts(data.as_bytes()), "CONNECT a.example:443 a.example 443 -");
    }
    for host in ["b.example:443", "a.example:80", "", "b"] {
        let data = connect("a.example:443", host);
        mismatch_at(data.as_bytes(), data.len(), answer);
    }
    for target in ["a.example", "a.example:", "a.example:x", "/x", "http://a.example:443/", "*"] {
        let data = format!("CONNECT {target} HTTP/1.1\r\n\r\n");
        assert_eq!(parts(data.as_bytes()), format!("CONNECT {target} - 0 -"));
    }
}

#[test]
fn a_host_has_a_normal_form() {
    assert_eq!(get("/", "a.example:8080"), "GET / a.example 8080 /");
    assert_eq!(get("/", "a.example:"), "GET / a.example 0 /");
    assert_eq!(get("/", "a.example:00080"), "GET / a.example 80 /");
    assert_eq!(get("/", "a.example:00000000080"), "GET / a.example 80 /");
    assert_eq!(get("/", "192.0.2.1:80"), "GET / 192.0.2.1 80 /");
    assert_eq!(get("/", "192.0.2.1."), "GET / 192.0.2.1 0 /");
    assert_eq!(get("/", "Blue.TEST."), "GET / blue.test 0 /");
    assert_eq!(get("/", "blue.test.:80"), "GET / blue.test 80 /");
    assert_eq!(get("/", "foo-.test"), "GET / foo-.test 0 /");
    assert_eq!(get("/", "-_~.test"), "GET / -_~.test 0 /");
    assert_eq!(get("/", " \ta.example \t"), "GET / a.example 0 /");
    assert_eq!(get("/", "[::1]"), "GET / ::1 0 /");
    assert_eq!(get("/", "[2001:DB8:0::1]:80"), "GET / 2001:db8::1 80 /");
    assert_eq!(get("/", "[::FFFF:192.0.2.1]"), "GET / ::ffff:192.0.2.1 0 /");
    assert_eq!(get("/", "[fe80::1%25eth0]:80"), "GET / fe80::1 80 /");
    assert_eq!(get("/", "[fe80::1%eth0]"), "GET / fe80::1 0 /");
    let written = b"GET / HTTP/1.1\r\nHost: Blue.test.:080\r\n\r\n";
    assert_eq!(parse(written).authority().unwrap().text, "Blue.test.:080");
}

#[test]
fn an_invalid_host_is_none() {
    for host in [
        "",
        ":80",
        "a b",
        "a/b",
        "u@a",
        "a:b",
        "a:80:90",
        "a:65536",
        "a:+80",
        "a:8 0",
        "[::1",
        "[::1]80",
        "[::1].",
        "[a]",
        "[]",
        "[fe80::1%]",
        "[fe80::1% x]",
        "[v1.a]",
        "::1",
        "\u{e9}",
        ".",
        "..",
        "a..b",
        "a..",
        ".a",
        ".:80",
        "a,b",
        "a, b",
        "a%2eb",
        "*.a",
        "a\\b",
        "a?b",
        "a#b",
        "http://a",
    ] {
        assert_eq!(get("/", host), "GET / - 0 /", "{host}");
    }
    assert_eq!(parts(b"GET / HTTP/1.0\r\n\r\n"), "GET / - 0 /");
    assert_eq!(parts(b"GET / HTTP/1.1\r\n\r\n"), "GET / - 0 /");
    assert_eq!(parts(b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n"), "GET / - 0 /");
}

#[test]
fn two_host_headers_mismatch() {
    mismatch_at(b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 36, answer);
    mismatch_at(b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nHOST:b\r\n\r\n", 41, answer);
}

#[test]
fn empty_lines_before_the_request_are_skipped() {
    let head = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    for lines in ["\r\n", "\r\n\r\n", "\n", "\n\r\n\n"] {
        let data = format!("{lines}{head}");
        found_at(data.as_bytes(), data.len(), answer);
        assert_eq!(parts(data.as_bytes()), "GET /x a 0 /x");
        assert_eq!(parse(data.as_bytes()).size, data.len());
    }
    mismatch_at(b"\r\rG", 2, answer);
    mismatch_at(b"\r\n GET", 3, answer);
    mismatch_at(b"\r\nPRI * HTTP/2.0\r\n\r\n", 8, answer); // "*" is for OPTIONS only
    let endless = b"\r\n".repeat(MAX_HEAD_SIZE / 2);
    assert_eq!(answer(&endless[..MAX_HEAD_SIZE - 1]), Err(SniffError::Incomplete));
    assert_eq!(answer(&endless), Err(SniffError::Mismatch));
}

#[test]
fn any_minor_version_of_http_1_is_accepted() {
    for digit in 0..=9 {
        let data = format!("GET / HTTP/1.{digit}\r\nHost: a\r\n\r\n");
        assert_eq!(parse(data.as_bytes()).minor_version, digit);
    }
    for version in
        ["HTTP/1.10", "HTTP/1.", "HTTP/1.x", "HTTP/0.9", "HTTP/01.1", "http/1.1", "HTTP/1.1 ", "HTTP/1"]
    {
        let data = format!("GET / {version}\r\n\r\n");
        assert_eq!(answer(data.as_bytes()), Err(SniffError::Mismatch), "{version}");
    }
    assert_eq!(answer(b"GET /\r\n"), Err(SniffError::Mismatch), "HTTP/0.9");
}

#[test]
fn a_target_may_contain_bytes_that_are_not_ascii() {
    let data = b"GET /caf\xe9?\xff HTTP/1.1\r\nHost: a\r\n\r\n";
    found_at(data, data.len(), answer);
    assert_eq!(parse(data).target, b"/caf\xe9?\xff");
    assert_eq!(parse(data).path(), Some(&b"/caf\xe9"[..]));
    for byte in [0, 9, 11, 13, 31, 127] {
        let data = [b"GET /", &[byte][..], b" HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(answer(&data), Err(SniffError::Mismatch), "{byte}");
    }
}

#[test]
fn lines_may_end_in_a_bare_lf() {
    let data = b"GET / HTTP/1.1\nHost: a\n\n";
    found_at(data, data.len(), answer);
    assert_eq!(parts(data), "GET / a 0 /");
    assert_eq!(answer(b"GET / HTTP/1.1\rHost: a\r\n\r\n"), Err(SniffError::Mismatch));
    assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: a\rHost: b\r\n\r\n"), Err(SniffError::Mismatch));
    assert_eq!(answer(b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"), Err(SniffError::Mismatch));
}

#[test]
fn other_protocols_mismatch_at_the_first_byte_that_differs() {
    for first in [0, 4, 5, 22, b' ', b'{', b'[', b'<', 128, 255] {
        assert_eq!(answer(&[first]), Err(SniffError::Mismatch), "{first}");
    }
    mismatch_at(b"SSH-2.0-OpenSSH_9.2\r\n", 20, answer);
    mismatch_at(b"PING\r\n", 5, answer);
    mismatch_at(b"GET / HTTP/2.0\r\n\r\n", 12, answer);
    mismatch_at(b"PRI * HTTP/2.0\r\n\r\nSX", 20, answer);
    mismatch_at(b"GET / HTTP/1.1\r\nno colon\r\n", 19, answer);
    mismatch_at(b"GET / HTTP/1.1\r\nHost : a\r\n", 21, answer);
    mismatch_at(b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 23, answer);
    mismatch_at(b"GET / HTTP/1.1\r\nHost: a\r\n\t.b\r\n\r\n", 26, answer);
    mismatch_at(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 17, answer);
}

#[test]
fn a_method_has_a_maximum_size() {
    let longest = "M".repeat(MAX_METHOD_SIZE);
    let data = format!("{longest} / HTTP/1.1\r\n\r\n");
    found_at(data.as_bytes(), data.len(), answer);
    mismatch_at("M".repeat(MAX_METHOD_SIZE + 9).as_bytes(), MAX_METHOD_SIZE + 1, answer);
    assert_eq!(answer(format!("M{data}").as_bytes()), Err(SniffError::Mismatch));
}

#[test]
fn the_number_of_headers_has_a_maximum() {
    let head = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert_eq!(parse(head(MAX_HEADERS).as_bytes()).headers.len(), MAX_HEADERS);
    assert_eq!(answer(head(MAX_HEADERS + 1).as_bytes()), Err(SniffError::Mismatch));
}

#[test]
fn the_head_has_a_maximum_size() {
    let head = |size: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(size - 23));
    let longest = head(MAX_HEAD_SIZE);
    assert_eq!(parse(longest.as_bytes()).size, MAX_HEAD_SIZE);
    assert_eq!(answer(&longest.as_bytes()[..MAX_HEAD_SIZE - 1]), Err(SniffError::Incomplete));
    let longer = head(MAX_HEAD_SIZE + 1);
    assert_eq!(answer(longer.as_bytes()), Err(SniffError::Mismatch));
    assert_eq!(answer(&longer.as_bytes()[..MAX_HEAD_SIZE]), Err(SniffError::Mismatch));
}

proptest! {
    #[test]
    fn any_bytes_have_one_result(data: Vec<u8>, text in "[ -~\r\n]{0,100}") {
        is_settled(&data, answer);
        is_settled(text.as_bytes(), answer);
        is_settled(format!("GET / HTTP/1.1\r\n{text}\r\n\r\n").as_bytes(), answer);
    }

    #[test]
    fn damaged_requests_have_one_result(data in damaged(CAPTURES.map(bytes).to_vec())) {
        is_settled(&data, answer);
    }
}
