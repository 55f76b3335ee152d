#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::tls;

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| {
        tls::client_hello(data).map(|hello| {
            let sni = hello.sni().map(|name| name.to_string());
            assert!(sni.is_none() || hello.raw_sni().is_some());
            sni.iter().for_each(|name| proxymachine_sniff_fuzz::check_host(name));
            let alpn: Vec<_> = hello.alpn().collect();
            format!("{sni:?} {alpn:?} {:?}", hello.versions().collect::<Vec<_>>())
        })
    });
});
