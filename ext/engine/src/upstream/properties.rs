//! Properties of an upstream's state: every order of arrivals, departures, failures, checks and reloads.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::definition::{Balance, Options};
use super::queue::Ticket;
use super::rendezvous::Key;
use super::server::Server;
use super::slot_set::SlotSet;
use super::state::{Choice, Pick, Slot, State};
use super::tests::{NAMES, list, state};

/// A step in the life of an upstream. Clients and servers are numbers modulo how many there are.
#[derive(Debug, Clone)]
enum Step {
    Arrive { key: Option<u8> },
    Leave { client: usize },
    Connect { client: usize },
    Fail { client: usize },
    Answer { client: usize },
    Check { server: usize, is_up: bool, weight: Option<u32> },
    Wait { seconds: u64 },
    Reload { servers: Vec<(usize, u32)>, max: Option<u32>, queue: usize, balance: Balance },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..100_usize;
    let server = 0..NAMES.len();
    prop_oneof![
        8 => prop::option::of(0..20_u8).prop_map(|key| Step::Arrive { key }),
        4 => client.clone().prop_map(|client| Step::Leave { client }),
        2 => client.clone().prop_map(|client| Step::Connect { client }),
        3 => client.clone().prop_map(|client| Step::Fail { client }),
        3 => client.prop_map(|client| Step::Answer { client }),
        2 => (server.clone(), any::<bool>(), prop::option::of(0..4_u32))
            .prop_map(|(server, is_up, weight)| Step::Check { server, is_up, weight }),
        2 => (0..30_u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (
            prop::collection::vec((server, 0..4_u32), 0..7),
            prop::option::of(1..4_u32),
            0..6_usize,
            prop_oneof![Just(Balance::Least), Just(Balance::Ordered)],
        )
            .prop_map(|(servers, max, queue, balance)| Step::Reload { servers, max, queue, balance }),
    ]
}

/// A client of the test.
struct Client {
    key: Option<Key>,
    tried: SlotSet,
    place: Place,
}

enum Place {
    Queue(Ticket),
    Server { choice: Choice, name: String, is_decided: bool },
}

/// The upstream under test, and what the test knows about it.
struct World {
    state: State,
    clients: Vec<Client>,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let options = Options {
            max_connections: Some(2),
            queue_timeout: Duration::from_secs(5),
            max_queue: 4,
            ..Options::default()
        };
        Self { state: state(options, NAMES), clients: Vec::new(), now: Instant::now() }
    }

    /// Gives a client a server or a place in the queue; else it is gone.
    fn serve(&mut self, key: Option<Key>, tried: SlotSet) {
        let place = match self.state.pick(key, &tried, self.now) {
            Pick::Server(choice) => {
                self.check_room(choice.slot);
                self.at_server(choice)
            }
            Pick::Full => match self.state.enqueue(key, &tried) {
                Some(ticket) => Place::Queue(ticket),
                None => return,
            },
            Pick::Exhausted => return,
        };
        self.clients.push(Client { key, tried, place });
    }

    fn at_server(&self, choice: Choice) -> Place {
        let name = self.state.server(choice.slot).remote.to_string();
        Place::Server { choice, name, is_decided: false }
    }

    /// Checks that the last connection of a server is within its maximum, and that the server takes part.
    fn check_room(&self, slot: Slot) {
        let server = self.state.server(slot);
        if let Some(max) = self.state.options.max_connections {
            assert!(server.open <= max, "{} has {} connections of {max}", server.remote, server.open);
        }
        assert!(server.weight() > 0, "a server without weight takes nothing new");
        assert!(self.state.find(server.remote.as_str()).is_some(), "only listed servers are chosen");
    }

    /// Serves the queue as each change of an upstream does.
    fn settle(&mut self) {
        let before: Vec<Ticket> = self.tickets();
        for (ticket, choice) in self.state.serve_queue(self.now) {
            let index = self.index(ticket);
            self.check_room(choice.slot);
            for earlier in before.iter().filter(|earlier| **earlier < ticket) {
                let waits =
                    |client: &&Client| matches!(client.place, Place::Queue(other) if other == *earlier);
                if let Some(client) = self.clients.iter().find(waits) {
                    assert!(client.tried.contains(choice.slot), "first come, first served");
                }
            }
            self.clients[index].place = self.at_server(choice);
        }
        self.check();
    }

    fn tickets(&self) -> Vec<Ticket> {
        let ticket = |client: &Client| match client.place {
            Place::Queue(ticket) => Some(ticket),
            Place::Server { .. } => None,
        };
        self.clients.iter().filter_map(ticket).collect()
    }

    fn index(&self, ticket: Ticket) -> usize {
        let is_there = |client: &Client| matches!(client.place, Place::Queue(other) if other == ticket);
        self.clients.iter().position(is_there).expect("only clients that wait are served")
    }

    /// Checks what always holds.
    fn check(&mut self) {
        let mut connections: HashMap<&str, u32> = HashMap::new();
        for client in &self.clients {
            if let Place::Server { name, .. } = &client.place {
                *connections.entry(name).or_default() += 1;
            }
        }
        for (_, server) in self.state.listed() {
            let expected = connections.get(server.remote.as_str()).copied().unwrap_or_default();
            assert_eq!(server.open, expected, "connections of {}", server.remote);
        }
        let open: u32 = connections.values().sum();
        assert_eq!(self.state.open(), u64::from(open));
        assert_eq!(self.state.queue.len(), self.tickets().len());

        let max = self.state.options.max_connections;
        let eligible: Vec<(Slot, _)> = self.state.listed().filter(|(_, s)| s.weight() > 0).collect();
        let is_any_up = eligible.iter().any(|(_, server)| server.health.is_up());
        let is_any_known = eligible.iter().any(|(_, s)| s.health.is_up() && s.health.checked() == Some(true));
        let takes_part = |server: &Server| {
            let health = &server.health;
            !is_any_up
                || health.is_due(self.now)
                || health.is_up() && (!is_any_known || health.checked() == Some(true))
        };
        for client in &self.clients {
            let Place::Queue(_) = client.place else { continue };
            for (slot, server) in &eligible {
                let has_room = max.is_none_or(|max| server.open < max);
                assert!(
                    !has_room || client.tried.contains(*slot) || !takes_part(server),
                    "a client waits although {} has room",
                    server.remote
                );
            }
        }
    }

    fn take_client(&mut self, number: usize) -> Option<Client> {
        if self.clients.is_empty() {
            return None;
        }
        let index = number % self.clients.len();
        Some(self.clients.swap_remove(index))
    }

    fn leave(&mut self, client: &Client) {
        match &client.place {
            Place::Queue(ticket) => drop(self.state.queue.remove(*ticket)),
            Place::Server { choice, is_decided, .. } => {
                self.state.release(choice.slot, choice.is_trial && !is_decided, self.now);
            }
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Arrive { key } => {
                let key = key.map(|key| Key::new(&[key]));
                // A pause may have ended, and then the clients in the queue go first.
                self.settle();
                self.serve(key, SlotSet::default());
            }
            Step::Leave { client } => {
                if let Some(client) = self.take_client(client) {
                    self.leave(&client);
                }
            }
            Step::Connect { client } => {
                if let Some(client) = self.take_client(client) {
                    if let Place::Server { choice, .. } = &client.place {
                        self.state.connected(choice.slot, choice.is_trial, self.now);
                    }
                    self.clients.push(client);
                }
            }
            Step::Fail { client } => {
                let Some(mut client) = self.take_client(client) else { return };
                let Place::Server { choice, is_decided, .. } = &mut client.place else {
                    self.clients.push(client);
                    return;
                };
                if !std::mem::replace(is_decided, true) {
                    self.state.failed(choice.slot, choice.is_trial, "refused", self.now);
                }
                client.tried.insert(choice.slot);
                self.leave(&client);
                self.settle();
                self.serve(client.key, client.tried);
            }
            Step::Answer { client } => {
                if let Some(mut client) = self.take_client(client) {
                    if let Place::Server { choice, is_decided, .. } = &mut client.place {
                        *is_decided = true;
                        self.state.succeeded(choice.slot);
                    }
                    self.clients.push(client);
                }
            }
            Step::Check { server, is_up, weight } => {
                if let Some(slot) = self.state.find(NAMES[server]) {
                    self.state.check(slot, is_up, weight.filter(|_| is_up), "refused");
                }
            }
            Step::Wait { seconds } => self.now += Duration::from_secs(seconds),
            Step::Reload { servers, max, queue, balance } => {
                let mut options = self.state.options.clone();
                (options.max_connections, options.max_queue, options.balance) = (max, queue, balance);
                self.state.set_options(options);
                self.state.set_servers(list(servers.iter().map(|(index, weight)| (NAMES[*index], *weight))));
            }
        }
        self.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No server is over its maximum, no client waits while there is room, the queue is served in order, and every count returns
    /// to zero.
    #[test]
    fn every_order_of_events_keeps_the_counts(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        while let Some(client) = world.take_client(0) {
            world.leave(&client);
            world.settle();
        }
        prop_assert_eq!(world.state.open(), 0);
        prop_assert_eq!(world.state.queue.len(), 0);
        prop_assert!(world.state.status().iter().all(|server| server.connections == 0));
    }

    /// A server that stays in the list keeps its keys, whatever the order of the list and whichever others leave.
    #[test]
    fn a_key_keeps_its_server(
        keys in prop::collection::vec(any::<u32>(), 1..50),
        order in Just(NAMES.to_vec()).prop_shuffle(),
        weights in prop::collection::vec(1..5_u32, NAMES.len()),
        gone in 0..NAMES.len(),
    ) {
        let now = Instant::now();
        let weighted = |order: &[&'static str]| -> Vec<(&'static str, u32)> {
            let weight = |name: &str| weights[NAMES.iter().position(|known| *known == name).unwrap()];
            order.iter().map(|name| (*name, weight(name))).collect()
        };
        let ask = |state: &mut State, key: u32| {
            let pick = state.pick(Some(Key::new(&key.to_le_bytes())), &SlotSet::default(), now);
            let Pick::Server(choice) = pick else { panic!("{pick:?}") };
            let name = state.server(choice.slot).remote.to_string();
            state.release(choice.slot, false, now);
            name
        };
        let mut here = state(Options::default(), []);
        here.set_servers(list(weighted(&NAMES)));
        let mut there = state(Options::default(), []);
        there.set_servers(list(weighted(&order)));
        let before: Vec<String> = keys.iter().map(|key| ask(&mut here, *key)).collect();
        let elsewhere: Vec<String> = keys.iter().map(|key| ask(&mut there, *key)).collect();
        prop_assert_eq!(&before, &elsewhere);

        let rest: Vec<_> = NAMES.into_iter().filter(|name| *name != NAMES[gone]).collect();
        here.set_servers(list(weighted(&rest)));
        for (key, before) in keys.iter().zip(&before) {
            let after = ask(&mut here, *key);
            prop_assert!(after == *before || before == NAMES[gone], "{key} moved from {before} to {after}");
        }
    }
}
