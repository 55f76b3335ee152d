//! How quickly names were resolved the last time. Addresses are not kept.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Key;

/// A silent name counts as new again after this time.
const FORGET_SILENT: Duration = Duration::from_secs(30);

/// Number of names in one generation.
const GENERATION: usize = 2048;

/// Two generations of names. When the younger one is full, the older one is dropped; names in use survive.
#[derive(Default)]
pub(super) struct History {
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
}

#[derive(Clone, Copy)]
enum Entry {
    Quick,
    SilentAt(Instant),
}

impl History {
    /// Tells whether the name was resolved quickly the last time; `None` without a recent lookup that tells.
    pub(super) fn was_quick(&self, key: &Key) -> Option<bool> {
        match self.young.get(key).or_else(|| self.old.get(key))? {
            Entry::Quick => Some(true),
            Entry::SilentAt(when) => (when.elapsed() < FORGET_SILENT).then_some(false),
        }
    }

    /// Records a lookup. A quick failure tells nothing: a client can pick any number of names that do not exist.
    pub(super) fn record(&mut self, key: &Key, has_addresses: bool, was_silent: bool) {
        let entry = match (was_silent, has_addresses) {
            (true, _) => Entry::SilentAt(Instant::now()),
            (false, true) => Entry::Quick,
            (false, false) => {
                self.young.remove(key);
                self.old.remove(key);
                return;
            }
        };
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::dial::resolver::Family;

    fn key(name: &str) -> Key {
        (Arc::from(name), Family::Both)
    }

    #[test]
    fn the_last_lookup_counts() {
        let mut history = History::default();
        let name = key("name");
        assert_eq!(history.was_quick(&name), None);
        history.record(&name, true, false);
        assert_eq!(history.was_quick(&name), Some(true));
        history.record(&name, true, true);
        assert_eq!(history.was_quick(&name), Some(false));
        history.record(&name, false, false);
        assert_eq!(history.was_quick(&name), None);
    }

    #[test]
    fn memory_is_bounded_and_names_in_use_survive() {
        let mut history = History::default();
        for index in 0..10 * GENERATION {
            history.record(&key("in use"), true, false);
            history.record(&key(&index.to_string()), true, false);
        }
        assert!(history.young.len() + history.old.len() <= 2 * GENERATION);
        assert_eq!(history.was_quick(&key("in use")), Some(true));
    }
}
