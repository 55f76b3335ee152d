//! What holds for every sniffer.

use proxymachine_sniff::Miss;

/// Prefixes that are tried of each input, so that long ones do not take for ever.
const PREFIXES: usize = 64;

/// What is found or foreign for a prefix is so for the whole. A panic ends the fuzzer anyway.
///
/// `answer` shows what was found as text, after it has looked at all of it.
pub fn check(data: &[u8], answer: impl Fn(&[u8]) -> Result<String, Miss>) {
    let whole = answer(data);
    for cut in (0..data.len()).step_by(data.len() / PREFIXES + 1) {
        let prefix = answer(&data[..cut]);
        assert!(
            prefix == Err(Miss::Incomplete) || prefix == whole,
            "{prefix:?} for {cut} bytes, then {whole:?}"
        );
    }
}
