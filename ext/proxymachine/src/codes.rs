//! The engine's table of termination codes, for Ruby: `proxymachine explain` and docs/logs.md are made from it.

use magnus::{Error, RArray, RHash, Ruby};
use proxymachine_engine::observer::termination::codes::{FIRST_LETTERS, SECOND_LETTERS};
use proxymachine_engine::{Reason, TerminationCode};

/// `Engine.termination_codes`: returns one Hash for each code, with `:letters`, `:meaning`, `:cause`, `:cure` and
/// `:is_error`. The texts are phrases in Markdown.
pub fn all(ruby: &Ruby) -> Result<RArray, Error> {
    let codes = ruby.ary_new();
    for info in TerminationCode::all() {
        let code: RHash = ruby.hash_new();
        code.aset(ruby.to_symbol("letters"), info.letters)?;
        code.aset(ruby.to_symbol("meaning"), info.meaning)?;
        code.aset(ruby.to_symbol("cause"), info.cause)?;
        code.aset(ruby.to_symbol("cure"), info.cure)?;
        code.aset(ruby.to_symbol("is_error"), info.is_error)?;
        codes.push(code)?;
    }
    Ok(codes)
}

/// `Engine.failure_reasons`: returns the words of the reasons and their meanings, as an Array of pairs.
pub fn reasons() -> Pairs {
    Reason::all().collect()
}

type Pairs = Vec<(&'static str, &'static str)>;

/// `Engine.termination_letters`: returns what the first and the second letters mean, as two Arrays of pairs.
pub fn letters() -> (Pairs, Pairs) {
    (FIRST_LETTERS.to_vec(), SECOND_LETTERS.to_vec())
}
