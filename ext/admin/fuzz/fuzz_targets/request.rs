//! HTTP requests to the admin address. Input: the head of a request, without the empty line at its end.
#![no_main]

use std::net::IpAddr;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use proxymachine_admin::Snapshot;
use proxymachine_admin_fuzz::Shown;

/// The name of the program that is shown: only a response that shows something has it.
const NAME: &str = "the-name-of-the-program";

static SHOWN: LazyLock<Shown> = LazyLock::new(|| {
    let shown = Shown::start();
    let mut snapshot = Snapshot::default();
    snapshot.program.name = NAME.into();
    snapshot.program.version = NAME.into();
    shown.show(snapshot);
    shown
});

fuzz_target!(|input: &[u8]| {
    let response = SHOWN.respond(&[input, b"\r\n\r\n"].concat());
    let response = String::from_utf8(response).unwrap();
    if response.is_empty() {
        return; // The server refused the request by a reset.
    }
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.get(9..12).and_then(|status| status.parse::<u16>().ok()).expect("a status");
    assert!(head.starts_with("HTTP/1.") && [200, 400, 404, 405, 414, 421, 431, 503].contains(&status), "{head}");
    // The length of a response to HEAD is that of the body that it leaves out.
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(len) = len.filter(|_| !body.is_empty()) {
        assert_eq!(len.parse(), Ok(body.len()), "{response}");
    }
    if body.contains(NAME) {
        assert_eq!(status, 200);
        assert!(host(input).is_none_or(is_local), "{:?}", String::from_utf8_lossy(input));
    }
});

/// Returns the value of the first Host header.
fn host(head: &[u8]) -> Option<&[u8]> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // Empty lines may stand before the request line, and one ends the head.
    let head = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let value = |line: &'_ [u8]| -> Option<usize> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        line[..colon].eq_ignore_ascii_case(b"host").then_some(colon + 1)
    };
    head.skip(1).find_map(|line| value(line).map(|start| line[start..].trim_ascii()))
}

/// Returns whether the name in a Host header is an address or localhost. What follows the name does not matter: no
/// browser sends a port that is not a number.
fn is_local(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let end = if host.starts_with('[') { ']' } else { ':' };
    let name = host.trim_start_matches('[').split(end).next().unwrap_or_default();
    name.is_empty() || name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}
