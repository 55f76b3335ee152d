//! The text of the answer that most blocks give, for the log, without a call of Ruby.

use magnus::encoding::Coderange;
use magnus::rb_sys::AsRawValue;
use magnus::value::ReprValue;
use magnus::{Error, RHash, RString, Ruby, StaticSymbol, Value};

use crate::gvl::hash_values;

/// Longest remote, of those that `SafeInspect` does not cut.
const MAX_LENGTH: usize = 100;

/// Stands for the remote.
const SAMPLE: &str = "?";

/// How this Ruby writes `{ remote: "host:port" }`, which differs between its versions.
pub struct PlainAnswer {
    remote: StaticSymbol,
    before: String,
    after: String,
}

impl PlainAnswer {
    /// Has Ruby write a sample. Where the config's own `inspect` writes something else, no answer is plain.
    pub fn new(ruby: &Ruby) -> Self {
        let (sample, remote) = (ruby.hash_new(), ruby.sym_new("remote"));
        let text: Result<String, Error> =
            sample.aset(remote, SAMPLE).and_then(|()| sample.funcall("inspect", ()));
        let text = text.unwrap_or_default();
        let (before, after) = text.split_once(SAMPLE).unwrap_or_default();
        Self { remote, before: before.into(), after: after.into() }
    }

    /// Returns the text of a plain Hash with nothing but a remote in which `inspect` would escape nothing; `None` for
    /// another answer.
    pub fn inspect(&self, answer: Value) -> Option<String> {
        let hash = RHash::from_value(answer).filter(|hash| hash.len() == 1)?;
        let ruby = Ruby::get_with(answer);
        let is_plain = |value: Value, class: magnus::RClass| value.class().as_raw() == class.as_raw();
        if !is_plain(answer, ruby.class_hash()) || self.before.is_empty() {
            return None;
        }
        let [remote] = hash_values(hash, [self.remote]).ok()?;
        let remote =
            RString::from_value(remote).filter(|text| is_plain(text.as_value(), ruby.class_string()))?;
        if remote.len() > MAX_LENGTH || remote.enc_coderange_scan() != Coderange::SevenBit {
            return None;
        }
        let text = remote.to_string().ok()?;
        let is_escaped = |c: char| c.is_control() || matches!(c, '"' | '\\' | '#');
        (!text.contains(is_escaped)).then(|| format!("{}{text}{}", self.before, self.after))
    }
}
