//! The text of the answer that most blocks give, for the log, without a call of Ruby.

use magnus::encoding::Coderange;
use magnus::value::ReprValue;
use magnus::{Error, RHash, RString, Ruby, StaticSymbol, Value};
use proxymachine_engine::Client;

use crate::gvl::has_rubys_inspect;
use crate::verdict::is_plain;

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
    /// Has Ruby write a sample. Where the config has defined `inspect` anew, no answer is plain.
    pub fn new(ruby: &Ruby) -> Self {
        let (sample, remote) = (ruby.hash_new(), ruby.sym_new("remote"));
        let write = |()| -> Result<String, Error> { sample.funcall("inspect", ()) };
        let text = match are_rubys(ruby) {
            true => sample.aset(remote, SAMPLE).and_then(write).unwrap_or_default(),
            false => String::new(),
        };
        let (before, after) = text.split_once(SAMPLE).unwrap_or_default();
        Self { remote, before: before.into(), after: after.into() }
    }

    /// Returns the line of a plain Hash with nothing but a remote in which `inspect` would escape nothing; `None` for
    /// another answer.
    pub fn line(&self, client: &Client, answer: Value) -> Option<String> {
        let hash = RHash::from_value(answer).filter(|hash| hash.len() == 1)?;
        let ruby = Ruby::get_with(answer);
        if !is_plain(answer, ruby.class_hash()) || self.before.is_empty() || !are_rubys(&ruby) {
            return None;
        }
        let remote = RString::from_value(hash.get(self.remote)?)?; // Not the default of the Hash.
        if !is_plain(remote, ruby.class_string())
            || remote.len() > MAX_LENGTH
            || remote.enc_coderange_scan() != Coderange::SevenBit
        {
            return None;
        }
        let text = remote.to_string().ok()?;
        let is_escaped = |c: char| c.is_control() || matches!(c, '"' | '\\' | '#');
        if text.contains(is_escaped) {
            return None;
        }
        let Self { before, after, .. } = self;
        Some(format!("{client} {before}{text}{after}"))
    }
}

/// Tells whether Hash and String have the `inspect` that Ruby gives them.
fn are_rubys(ruby: &Ruby) -> bool {
    has_rubys_inspect(ruby.class_hash()) && has_rubys_inspect(ruby.class_string())
}
