//! Properties of every sniffer.

use proxymachine_sniff::SniffError;

/// The maximum number of prefixes to check, so that long inputs stay fast.
const PREFIXES: usize = 64;

/// Asserts that a prefix gives the result of the whole or is incomplete.
///
/// `answer` returns the result as text and reads all of it.
pub fn check(data: &[u8], answer: impl Fn(&[u8]) -> Result<String, SniffError>) {
    let whole = answer(data);
    for cut in (0..data.len()).step_by(data.len() / PREFIXES + 1) {
        let prefix = answer(&data[..cut]);
        assert!(
            prefix == Err(SniffError::Incomplete) || prefix == whole,
            "{prefix:?} for {cut} bytes, then {whole:?}"
        );
    }
}

/// Asserts that `host` is a name in its normal form, or an address.
pub fn check_host(host: &str) {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_~.:".contains(&byte);
    assert!(!host.is_empty() && host.bytes().all(allowed), "{host:?}");
    assert!(!host.starts_with('.') && !host.ends_with('.') && !host.contains(".."), "{host:?}");
}
