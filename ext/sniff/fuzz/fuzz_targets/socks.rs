#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::Miss;
use proxymachine_sniff::socks::{self, Said};

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| match socks::request(data)? {
        // A greeting gives way to what follows it.
        Said::Greeting { .. } => Err(Miss::Incomplete),
        Said::Request(request) => {
            assert!(request.size <= data.len());
            Ok(format!("{request:?} {}", request.host))
        }
    });
});
