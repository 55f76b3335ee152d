//! Keys: what a router limits connections by, such as a tenant or a database.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// Bytes of a key that are kept. Of a longer key, its hash and its beginning are kept.
const MAX_KEY: usize = 256;

/// A key. Clones share its bytes. A long key takes no more memory than one of 256 bytes.
///
/// ```
/// use proxymachine_engine::LimitKey;
/// assert_eq!(LimitKey::new(b"tenant-7"), LimitKey::new(b"tenant-7"));
/// assert_ne!(LimitKey::new(&[b'x'; 1_000_000]), LimitKey::new(&[b'x'; 1_000_001]));
/// assert_eq!(LimitKey::new(b"tenant-7").to_string(), "tenant-7");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitKey {
    bytes: Arc<[u8]>,
    /// Of a long key: two hashes that are keyed at random, and the length. So many bits do not collide.
    rest: Option<(u64, u64, usize)>,
}

impl LimitKey {
    /// Creates a key.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        static HASHERS: OnceLock<[RandomState; 2]> = OnceLock::new();
        let Some(beginning) = bytes.get(..MAX_KEY).filter(|_| bytes.len() > MAX_KEY) else {
            return Self { bytes: bytes.into(), rest: None };
        };
        let [one, other] = HASHERS.get_or_init(|| [RandomState::new(), RandomState::new()]);
        Self {
            bytes: beginning.into(),
            rest: Some((one.hash_one(bytes), other.hash_one(bytes), bytes.len())),
        }
    }
}

/// Shows bytes that are not UTF-8 as U+FFFD, and of a long key only the beginning.
impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 100;
        let is_cut = self.rest.is_some() || self.bytes.len() > SHOWN;
        let shown = &self.bytes[..self.bytes.len().min(SHOWN)];
        f.write_str(&String::from_utf8_lossy(shown))?;
        if is_cut { f.write_str("...") } else { Ok(()) }
    }
}

/// How many connections may be open with one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLimit {
    /// The key.
    pub key: LimitKey,
    /// The limit.
    pub max: u32,
}

/// The limits by key of a [`Route`](crate::Route).
#[derive(Debug, Clone, Default)]
pub struct KeyLimits {
    /// The limits, each with another key. The first one that is exceeded is reported.
    pub limits: Vec<KeyLimit>,
    /// Bytes for a client that is over a limit.
    pub over: Bytes,
}

/// The open connections of each key. A key without open connections takes no memory.
#[derive(Debug, Default)]
pub(crate) struct KeyTable(HashMap<LimitKey, u32>);

impl KeyTable {
    /// Counts a connection with all keys of `limits` that `held` has not, and adds them to `held`; or with none of them.
    ///
    /// # Errors
    /// The first limit that the connection exceeds.
    pub(crate) fn acquire<'a>(
        &mut self,
        limits: &'a [KeyLimit],
        held: &mut Vec<LimitKey>,
    ) -> Result<(), &'a KeyLimit> {
        let held_before = held.len();
        let is_over =
            |limit: &&KeyLimit| !held.contains(&limit.key) && self.connections(&limit.key) >= limit.max;
        if let Some(limit) = limits.iter().find(is_over) {
            return Err(limit);
        }
        for KeyLimit { key, .. } in limits {
            if !held[..held_before].contains(key) {
                *self.0.entry(key.clone()).or_default() += 1;
                held.push(key.clone());
            }
        }
        Ok(())
    }

    /// Ends the counting of a connection with these keys.
    pub(crate) fn release(&mut self, keys: &[LimitKey]) {
        for key in keys {
            match self.0.get_mut(key) {
                Some(count @ 2..) => *count -= 1,
                _ => drop(self.0.remove(key)),
            }
        }
        // A map does not shrink by itself.
        if self.0.capacity() > 1024 && self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
    }

    /// Returns the number of open connections with a key.
    pub(crate) fn connections(&self, key: &LimitKey) -> u32 {
        self.0.get(key).copied().unwrap_or(0)
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns the number of keys with open connections.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
