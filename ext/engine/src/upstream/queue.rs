//! The clients that wait for a server with room, in the order in which they came.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::rendezvous::Key;
use super::slot_set::SlotSet;

/// The place of a client in the queue. Later clients have higher tickets.
pub(crate) type Ticket = u64;

/// A client that waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) key: Option<Key>,
    /// The servers that the client has tried in this round.
    pub(crate) tried: SlotSet,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiters: BTreeMap<Ticket, Waiter>,
    next: Ticket,
}

impl Queue {
    /// Adds a client at the end.
    pub(crate) fn push(&mut self, waiter: Waiter) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        self.waiters.insert(ticket, waiter);
        ticket
    }

    /// Puts a client back to its place.
    pub(crate) fn put_back(&mut self, ticket: Ticket, waiter: Waiter) {
        self.waiters.insert(ticket, waiter);
    }

    /// Removes a client.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        self.waiters.remove(&ticket)
    }

    /// Returns the ticket of the client that came first.
    pub(crate) fn first(&self) -> Option<Ticket> {
        self.waiters.first_key_value().map(|(ticket, _)| *ticket)
    }

    /// Returns the ticket of the client that came next after another one.
    pub(crate) fn after(&self, ticket: Ticket) -> Option<Ticket> {
        self.waiters.range((Excluded(ticket), Unbounded)).next().map(|(ticket, _)| *ticket)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }
}
