#![no_main]

use libfuzzer_sys::fuzz_target;
use proxymachine_sniff::ssh;

fuzz_target!(|data: &[u8]| {
    proxymachine_sniff_fuzz::check(data, |data| ssh::banner(data).map(|banner| format!("{banner:?}")));
});
