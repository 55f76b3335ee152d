//! Sniffers allocate nothing until a message is complete. The test counts allocations, so that it fails on
//! any machine.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::capture;
use proxymachine_sniff::{SniffError, git, http, postgres, socks, ssh, tls};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator with a counter per thread.
struct Counting;

// SAFETY: every call is passed on to the system's allocator, and counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = COUNT.get();
    let result = work();
    (result, COUNT.get() - before)
}

type Sniffer = fn(&[u8]) -> Result<(), SniffError>;

const SNIFFERS: [(&str, Sniffer); 6] = [
    ("tls/openssl_in_three_records", |data| tls::client_hello(data).map(drop)),
    ("http/curl", |data| http::request(data).map(drop)),
    ("postgres/psql_ssl_refused", |data| postgres::startup(data).map(drop)),
    ("socks/curl_socks5h", |data| socks::request(data).map(drop)),
    ("ssh/openssh", |data| ssh::banner(data).map(drop)),
    ("git/fetch", |data| git::request(data).map(drop)),
];

#[test]
fn the_counter_works() {
    assert_eq!(counted(|| vec![1_u8]).1, 1);
}

#[test]
fn incomplete_and_mismatching_bytes_allocate_nothing() {
    for (name, sniff) in SNIFFERS {
        let data = capture(name);
        for (_, other) in SNIFFERS {
            for cut in 0..data.len() {
                let (answer, allocations) = counted(|| other(&data[..cut]));
                assert!(answer.is_ok() || allocations == 0, "{allocations} for {cut} bytes of {name}");
            }
        }
        assert_eq!(sniff(&data), Ok(()), "{name}");
    }
}

#[test]
fn messages_are_borrowed() {
    let allocations = |name, sniff: Sniffer| {
        counted({
            let data = capture(name);
            move || (sniff(&data), data).0
        })
        .1
    };
    for (name, sniff) in SNIFFERS {
        let expected = match name {
            "tls/openssl_in_three_records" => 1, // the joined records
            "http/curl" => 1,                    // the headers
            _ => 0,
        };
        assert_eq!(allocations(name, sniff), expected, "{name}");
    }
    assert_eq!(allocations("tls/openssl", SNIFFERS[0].1), 0);
}
