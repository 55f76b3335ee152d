#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::tls;

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| {
        tls::client_hello(data).map(|hello| {
            let alpn: Vec<_> = hello.alpn().collect();
            format!("{:?} {alpn:?} {:?}", hello.sni(), hello.versions().collect::<Vec<_>>())
        })
    });
});
