#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::http::{self, Message, Request};

fuzz_target!(|data: &[u8]| {
    let check = |data: &[u8]| {
        proxymachine_sniff_fuzz::check(data, |data| {
            http::request(data).map(|message| match &message {
                Message::Request(request) => {
                    check_request(request, data);
                    format!("{request:?} {:?} {:?}", request.authority(), request.path())
                }
                Message::Http2Preface => format!("{message:?}"),
            })
        });
    };
    check(data);
    check(&[b"GET / HTTP/1.1\r\nHost: ", data, b"\r\n\r\n"].concat());
    check(&[b"GET http://a.b/ HTTP/1.1\r\nHost: ", data, b"\r\n\r\n"].concat());
    check(&[b"GET ", data, b" HTTP/1.1\r\nHost: a.b\r\n\r\n"].concat());
    check(&[b"CONNECT ", data, b" HTTP/1.1\r\nHost: a.b\r\n\r\n"].concat());
});

/// Asserts that the request names one host, in its normal form.
fn check_request(request: &Request<'_>, data: &[u8]) {
    assert!(request.size <= data.len());
    let Some(authority) = request.authority() else { return };
    proxymachine_sniff_fuzz::check_host(&authority.host.to_string());
    let mut hosts = request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    if let Some((_, value)) = hosts.next() {
        let header = proxymachine_sniff::host::Authority::parse(value).expect("a valid Host header");
        assert_eq!(header.host, authority.host);
    }
    assert_eq!(hosts.next(), None);
}
