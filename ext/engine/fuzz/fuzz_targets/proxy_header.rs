//! Parses PROXY headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/support/proxy_invariants.rs"]
mod proxy_invariants;

fuzz_target!(|received: &[u8]| proxy_invariants::check(received));
