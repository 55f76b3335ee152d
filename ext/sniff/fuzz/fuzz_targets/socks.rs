#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::SniffError;
use proxymachine_sniff::socks::{self, Message};

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| match socks::request(data)? {
        // Gives way to the request.
        Message::Greeting { .. } => Err(SniffError::Incomplete),
        Message::Request(request) => {
            assert!(request.size <= data.len());
            let host = request.host.to_string();
            proxymachine_sniff_fuzz::check_host(&host);
            Ok(format!("{request:?} {host}"))
        }
    });
});
