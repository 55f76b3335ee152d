#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::host::{Authority, Host};

fuzz_target!(|data: &[u8]| {
    let Some(authority) = Authority::parse(data) else { return };
    let host = authority.host.to_string();
    proxymachine_sniff_fuzz::check_host(&host);
    let literal = if matches!(authority.host, Host::V6(_)) { format!("[{host}]") } else { host };
    let again = Authority::parse(literal.as_bytes()).expect("a normal form is valid");
    assert_eq!(again.host, authority.host);
});
