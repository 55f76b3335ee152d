//! Finds the end of a server's reply in clear, before the TLS handshake. Input: the length of what is expected, and
//! whether nothing else belongs to it; what is expected; the reply.
//!
//! A reply ends within what has come, and more bytes change no result but an incomplete one.
#![no_main]

#[path = "../../src/dial/starttls/reply.rs"]
mod reply;

use libfuzzer_sys::fuzz_target;

use reply::{Reply, reply};

fuzz_target!(|input: &[u8]| {
    let [head, rest @ ..] = input else { return };
    let Some((expect, received)) = rest.split_at_checked(usize::from(head >> 1)) else { return };
    let is_exact = head & 1 == 1;
    if expect.is_empty() {
        return; // The configuration does not allow it.
    }
    let whole = reply(received, expect, is_exact);
    if let Reply::Complete(len) = whole {
        assert!(expect.len() <= len && len <= received.len());
    }
    // A reply without a line end is what has come so far.
    let has_lines = expect.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) && expect.len() > 1;
    for cut in 0..received.len() {
        match reply(&received[..cut], expect, is_exact) {
            Reply::Incomplete => {}
            known if has_lines || is_exact => assert_eq!(known, whole, "{cut}"),
            Reply::Unexpected => assert_eq!(whole, Reply::Unexpected, "{cut}"),
            Reply::Complete(len) => assert!(len <= cut),
        }
    }
});
