#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::git;

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| {
        git::request(data).map(|request| {
            assert!(request.size <= data.len() && !request.path.is_empty());
            if let Some(authority) = request.authority {
                proxymachine_sniff_fuzz::check_host(&authority.host.to_string());
            }
            format!("{request:?} {:?}", request.parameters().collect::<Vec<_>>())
        })
    });
});
