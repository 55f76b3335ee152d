//! What an answer means, in words: for `proxymachine --route`.

use magnus::{Error, Ruby, Value};
use proxymachine_engine::{Route, Verdict};

use crate::error;
use crate::queue::Block;
use crate::verdict::{Reader, Refusal};

/// `Engine.explain(answer, is_early)`: what it means, and whether it is a decision. Early is who answers before the
/// client has said anything.
///
/// # Errors
/// A `ConfigError` if it is no answer.
pub fn explain(ruby: &Ruby, answer: Value, is_early: bool) -> Result<(String, bool), Error> {
    let refused = |reason| error::new(ruby, "ConfigError", format!("the answer means nothing: {reason}"));
    let block = if is_early { Block::Accept } else { Block::Proxy };
    match Reader::new(ruby).read(answer, block) {
        Ok(Verdict::Connect(route)) => Ok((connect(&route), true)),
        Ok(Verdict::Close(None)) => Ok(("closes the connection".into(), true)),
        Ok(Verdict::Close(Some(words))) => {
            Ok((format!("says {} and closes the connection", Bytes(words.len())), true))
        }
        Ok(Verdict::Wait(None)) => Ok(("waits for more".into(), false)),
        Ok(Verdict::Wait(Some(words))) => {
            Ok((format!("says {} and waits for more", Bytes(words.len())), false))
        }
        Err(Refusal::Raised(error)) => Err(error),
        Err(Refusal::Invalid) => Err(refused("it is none that a proxy block can give".into())),
        Err(Refusal::Remote(_, reason)) => Err(refused(format!("invalid remote: {reason}"))),
        Err(Refusal::Key(key, _, expected)) => Err(refused(format!(":{key} is {expected}"))),
    }
}

fn connect(route: &Route) -> String {
    let mut text = format!("connects to {route}");
    match &route.data {
        Some(data) => text += &format!(", sends it {} instead of what has come", Bytes(data.len())),
        None => text += ", sends it what has come",
    }
    if let Some(reply) = &route.reply {
        text += &format!(", says {} to the client", Bytes(reply.len()));
    }
    text
}

/// A number of bytes, in words.
struct Bytes(usize);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}
