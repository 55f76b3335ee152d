#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::http::{self, Opening};

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| {
        http::request(data).map(|opening| match &opening {
            Opening::Request(request) => {
                assert!(request.size <= data.len());
                format!("{request:?} {:?} {:?}", request.authority(), request.path())
            }
            Opening::Http2 => format!("{opening:?}"),
        })
    });
});
