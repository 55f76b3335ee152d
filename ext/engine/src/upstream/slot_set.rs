//! A set of servers, by their slots.

use super::state::Slot;

/// The servers that a client has tried. An empty set, which most clients have, allocates nothing, and a lookup takes as long
/// among thousands of servers as among two.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlotSet {
    /// One bit for each slot.
    words: Vec<u64>,
    len: usize,
}

impl SlotSet {
    /// Adds a server.
    pub(crate) fn insert(&mut self, slot: Slot) {
        let (word, bit) = place(slot);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.len += usize::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Tells whether a server is in the set.
    pub(crate) fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.words.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// Returns the number of servers.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Tells whether the set has no server.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Returns the index of a slot's word, and the slot's bit in that word.
fn place(slot: Slot) -> (usize, u64) {
    (slot as usize / 64, 1 << (slot % 64))
}
