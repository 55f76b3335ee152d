//! The choice of a server among those that take part.

use fastrand::Rng;

use super::definition::Balance;
use super::rendezvous::Key;
use super::server::Server;
use super::slot_set::SlotSet;
use super::state::Slot;

/// Pairs of servers that are drawn before all servers are looked at: with few servers without room one pair is enough.
const MAX_DRAWS: usize = 4;

/// Connections that a server may always have, however uneven the keys are.
const MIN_BOUND: u64 = 8;

/// The servers that take part in the choice, in the order of the list.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    slots: Vec<Slot>,
    /// For each server the sum of its weight and of those before it.
    sums: Vec<u64>,
    /// By slot: whether the server is in the pool.
    is_member: Vec<bool>,
    /// Servers in the pool that have room.
    with_room: usize,
    has_equal_weights: bool,
    rng: Rng,
}

/// Tells whether a server with so many connections may have one more.
fn has_room(open: u32, max: Option<u32>) -> bool {
    max.is_none_or(|max| open < max)
}

impl Pool {
    /// Replaces the members.
    pub(crate) fn set(&mut self, slots: Vec<Slot>, servers: &[Server], max: Option<u32>) {
        self.is_member.clear();
        self.is_member.resize(servers.len(), false);
        self.sums.clear();
        (self.with_room, self.has_equal_weights) = (0, true);
        let mut sum = 0;
        for slot in &slots {
            let server = &servers[*slot as usize];
            sum += u64::from(server.weight());
            self.sums.push(sum);
            self.is_member[*slot as usize] = true;
            self.with_room += usize::from(has_room(server.open, max));
            self.has_equal_weights &= server.weight() == servers[slots[0] as usize].weight();
        }
        self.slots = slots;
    }

    /// Counts a new connection of a server, which has `open` now.
    pub(crate) fn opened(&mut self, slot: Slot, open: u32, max: Option<u32>) {
        if self.is_member(slot) && max == Some(open) {
            self.with_room -= 1;
        }
    }

    /// Counts the end of a connection of a server, which has `open` now.
    pub(crate) fn closed(&mut self, slot: Slot, open: u32, max: Option<u32>) {
        if self.is_member(slot) && max == Some(open + 1) {
            self.with_room += 1;
        }
    }

    fn is_member(&self, slot: Slot) -> bool {
        self.is_member.get(slot as usize).is_some_and(|is_member| *is_member)
    }

    /// Tells whether a member has room.
    pub(crate) fn has_room(&self) -> bool {
        self.with_room > 0
    }

    /// Tells whether there is a member that a client has not tried.
    pub(crate) fn has_untried(&self, tried: &SlotSet) -> bool {
        self.slots.len() > tried.len() || self.slots.iter().any(|slot| !tried.contains(*slot))
    }

    /// Chooses a server that has room and that the client has not tried. The servers of `due` have been out and are to be
    /// tried by one client.
    pub(crate) fn choose(
        &mut self,
        servers: &[Server],
        balance: Balance,
        key: Option<Key>,
        tried: &SlotSet,
        due: &[Slot],
        max: Option<u32>,
    ) -> Option<Slot> {
        if self.with_room == 0 && due.is_empty() {
            return None;
        }
        let is_free = |slot: &Slot| has_room(servers[*slot as usize].open, max) && !tried.contains(*slot);
        if let Some(key) = key {
            return self.by_key(servers, key, due, is_free);
        }
        match balance {
            Balance::Ordered => {
                let first = |slots: &[Slot]| slots.iter().copied().find(is_free);
                let position = |slot: &Slot| servers[*slot as usize].position;
                first(due).into_iter().chain(first(&self.slots)).min_by_key(position)
            }
            Balance::Least => due.iter().copied().find(is_free).or_else(|| self.least(servers, is_free)),
        }
    }

    /// Chooses the one with fewer connections for its weight of two different servers that are picked at random by weight
    /// (Mitzenmacher, "The power of two choices in randomized load balancing", 2001).
    fn least(&mut self, servers: &[Server], is_free: impl Fn(&Slot) -> bool) -> Option<Slot> {
        for _ in 0..MAX_DRAWS {
            let (one, other) = self.draw()?;
            match (is_free(&one), is_free(&other)) {
                (true, true) => return Some(less_loaded(servers, one, other)),
                (true, false) => return Some(one),
                (false, true) => return Some(other),
                (false, false) => {}
            }
        }
        let free = self.slots.iter().copied().filter(is_free);
        free.reduce(|one, other| less_loaded(servers, one, other))
    }

    /// Picks two different members at random by weight; the same one twice if there is only one.
    fn draw(&mut self) -> Option<(Slot, Slot)> {
        let total = *self.sums.last()?;
        let count = self.slots.len();
        if self.has_equal_weights && count > 1 {
            let one = self.rng.usize(..count);
            let other = self.rng.usize(..count - 1);
            return Some((self.slots[one], self.slots[other + usize::from(other >= one)]));
        }
        let index = |sums: &[u64], point| sums.partition_point(|sum| *sum <= point);
        let one = index(&self.sums, self.rng.u64(..total));
        let before = if one == 0 { 0 } else { self.sums[one - 1] };
        let weight = self.sums[one] - before;
        if weight == total {
            return Some((self.slots[one], self.slots[one]));
        }
        // A point among the others: the first one's range is left out.
        let point = self.rng.u64(..total - weight);
        let other = index(&self.sums, if point < before { point } else { point + weight });
        Some((self.slots[one], self.slots[other]))
    }

    /// Chooses the server that the key ranks first among those whose load is within the bound (Mirrokni, Thorup and
    /// Zadimoghaddam, "Consistent hashing with bounded loads", 2016); if there is none, among all.
    fn by_key(
        &self,
        servers: &[Server],
        key: Key,
        due: &[Slot],
        is_free: impl Fn(&Slot) -> bool,
    ) -> Option<Slot> {
        let of = |slot: &Slot| &servers[*slot as usize];
        let connections = self.slots.iter().map(|slot| u64::from(of(slot).open)).sum::<u64>() + 1;
        let weights = self.sums.last().copied().unwrap_or(1);
        let is_within_bound = |slot: &Slot| {
            let (open, weight) = (u64::from(of(slot).open), u64::from(of(slot).weight()));
            // 1.25 of the mean by weight, rounded up, in whole numbers.
            let bound = (5 * u128::from(connections) * u128::from(weight)).div_ceil(4 * u128::from(weights));
            open < MIN_BOUND || u128::from(open) < bound
        };
        let rank = |slot: &Slot| {
            let server = of(slot);
            if self.has_equal_weights && due.is_empty() {
                // As a float the rank would lose its last bits.
                (key.rank(server.hash), 0.0)
            } else {
                (0, key.weighted_rank(server.hash, server.weight()))
            }
        };
        let (mut best, mut any) = (None, None);
        for slot in due.iter().chain(&self.slots).filter(|slot| is_free(slot)) {
            let rank = rank(slot);
            if any.is_none_or(|(first, _)| first < rank) {
                any = Some((rank, *slot));
            }
            if best.is_none_or(|(first, _)| first < rank) && is_within_bound(slot) {
                best = Some((rank, *slot));
            }
        }
        best.or(any).map(|(_, slot)| slot)
    }
}

/// Returns the server with fewer connections for its weight; the first one if they are equal.
fn less_loaded(servers: &[Server], one: Slot, other: Slot) -> Slot {
    let load = |slot: Slot, of: Slot| {
        u64::from(servers[slot as usize].open) * u64::from(servers[of as usize].weight())
    };
    if load(one, other) <= load(other, one) { one } else { other }
}
