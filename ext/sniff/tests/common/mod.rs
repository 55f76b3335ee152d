//! What holds for every sniffer. An `answer` shows what was found as text.
#![allow(dead_code, reason = "not every test needs everything")]

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_sniff::Miss;

pub type Answer = Result<String, Miss>;

/// What a real client sent: the corpus of the fuzz targets.
pub fn capture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)).unwrap()
}

/// Every prefix shorter than `size` is incomplete; from there on the answer is the same.
pub fn found_at(data: &[u8], size: usize, answer: impl Fn(&[u8]) -> Answer) {
    let whole = answer(data);
    assert!(whole.is_ok(), "{whole:?}");
    for cut in 0..data.len() {
        let expected = if cut < size { Err(Miss::Incomplete) } else { whole.clone() };
        assert_eq!(answer(&data[..cut]), expected, "the first {cut} bytes");
    }
}

/// Every prefix shorter than `size` is incomplete; from there on it is foreign.
pub fn foreign_at(data: &[u8], size: usize, answer: impl Fn(&[u8]) -> Answer) {
    for cut in 0..=data.len() {
        let expected = if cut < size { Miss::Incomplete } else { Miss::Foreign };
        assert_eq!(answer(&data[..cut]), Err(expected), "the first {cut} bytes");
    }
}

/// What is decided about a prefix is decided.
pub fn is_settled(data: &[u8], answer: impl Fn(&[u8]) -> Answer) {
    let mut before = Err(Miss::Incomplete);
    for cut in 0..=data.len() {
        let now = answer(&data[..cut]);
        if before != Err(Miss::Incomplete) {
            assert_eq!(now, before, "the first {cut} bytes");
        }
        before = now;
    }
}

/// Only these bytes can begin a message.
pub fn begins_with_one_of(first: &[u8], answer: impl Fn(&[u8]) -> Answer) {
    for byte in 0..=255 {
        let expected = if first.contains(&byte) { Miss::Incomplete } else { Miss::Foreign };
        assert_eq!(answer(&[byte]), Err(expected), "{byte}");
    }
}

/// Captures with some bytes changed, something put in, something cut out.
pub fn damaged(captures: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let cut = (any::<prop::sample::Index>(), 0..4_usize, vec(any::<u8>(), 0..4));
    (prop::sample::select(captures), vec(change, 0..4), vec(cut, 0..2)).prop_map(
        |(mut data, changes, cuts)| {
            for (at, byte) in changes {
                let at = at.index(data.len());
                data[at] = byte;
            }
            for (at, removed, added) in cuts {
                let at = at.index(data.len().max(1)).min(data.len());
                let end = (at + removed).min(data.len());
                data.splice(at..end, added);
            }
            data
        },
    )
}
