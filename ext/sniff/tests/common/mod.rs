//! Properties of every sniffer. An `Answer` is a sniffer's result as text.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_sniff::SniffError;

pub type Answer = Result<String, SniffError>;

/// Reads the first bytes of a real client from the corpus of the fuzz targets.
pub fn capture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)).unwrap()
}

/// Asserts that every prefix shorter than `size` is incomplete and that longer ones give the same answer.
pub fn found_at(data: &[u8], size: usize, answer: impl Fn(&[u8]) -> Answer) {
    let whole = answer(data);
    assert!(whole.is_ok(), "{whole:?}");
    for cut in 0..data.len() {
        let expected = if cut < size { Err(SniffError::Incomplete) } else { whole.clone() };
        assert_eq!(answer(&data[..cut]), expected, "the first {cut} bytes");
    }
}

/// Asserts that every prefix shorter than `size` is incomplete and that longer ones are a mismatch.
pub fn mismatch_at(data: &[u8], size: usize, answer: impl Fn(&[u8]) -> Answer) {
    for cut in 0..=data.len() {
        let expected = if cut < size { SniffError::Incomplete } else { SniffError::Mismatch };
        assert_eq!(answer(&data[..cut]), Err(expected), "the first {cut} bytes");
    }
}

/// Asserts that no byte changes an answer other than "incomplete".
pub fn is_settled(data: &[u8], answer: impl Fn(&[u8]) -> Answer) {
    let mut before = Err(SniffError::Incomplete);
    for cut in 0..=data.len() {
        let now = answer(&data[..cut]);
        if before != Err(SniffError::Incomplete) {
            assert_eq!(now, before, "the first {cut} bytes");
        }
        before = now;
    }
}

/// Asserts that a message can begin with these bytes only.
pub fn begins_with_one_of(first: &[u8], answer: impl Fn(&[u8]) -> Answer) {
    for byte in 0..=255 {
        let expected = if first.contains(&byte) { SniffError::Incomplete } else { SniffError::Mismatch };
        assert_eq!(answer(&[byte]), Err(expected), "{byte}");
    }
}

/// Generates captures with some bytes changed, inserted and removed.
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
