//! The state of an upstream: the choice of a server, health and checks.

use std::time::Duration;

use tokio::time::Instant;

use super::definition::{Balance, Options};
use super::rendezvous::Key;
use super::server::Change;
use super::slot_set::SlotSet;
use super::state::{Choice, Pick, Slot, State};
use crate::Remote;

pub(super) const NAMES: [&str; 5] =
    ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"];

fn remote(name: &str) -> Remote {
    name.parse().unwrap()
}

pub(super) fn list<'a>(servers: impl IntoIterator<Item = (&'a str, u32)>) -> Vec<(Remote, Remote, u32)> {
    servers.into_iter().map(|(name, weight)| (remote(name), remote(name), weight)).collect()
}

pub(super) fn state<'a>(options: Options, servers: impl IntoIterator<Item = &'a str>) -> State {
    let mut state = State::new(options, Instant::now());
    state.set_servers(list(servers.into_iter().map(|name| (name, 1))));
    state
}

/// Returns the name of the server that a client gets.
fn pick(state: &mut State, key: Option<Key>, tried: &SlotSet, now: Instant) -> Option<String> {
    match state.pick(key, tried, now) {
        Pick::Server(choice) => Some(state.server(choice.slot).remote.to_string()),
        _ => None,
    }
}

fn choose(state: &mut State, now: Instant) -> Choice {
    match state.pick(None, &SlotSet::default(), now) {
        Pick::Server(choice) => choice,
        other => panic!("{other:?}"),
    }
}

const KEYS: u32 = 100_000;

/// Returns the server that each key has without other connections.
fn homes(state: &mut State, now: Instant) -> Vec<Slot> {
    let mut home = |key: u32| {
        let key = Key::new(format!("key-{key}").as_bytes());
        let Pick::Server(choice) = state.pick(Some(key), &SlotSet::default(), now) else {
            panic!("no server")
        };
        state.release(choice.slot, false, now);
        choice.slot
    };
    (0..KEYS).map(&mut home).collect()
}

#[test]
fn one_server_of_five_that_leaves_moves_its_own_keys_only() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES);
    let before = homes(&mut state, now);
    let gone = state.find(NAMES[2]).unwrap();
    state.set_servers(list(NAMES.into_iter().filter(|name| *name != NAMES[2]).map(|name| (name, 1))));
    let after = homes(&mut state, now);
    let moved: Vec<_> = before.iter().zip(after).filter(|(before, after)| **before != *after).collect();
    assert!(moved.iter().all(|(before, _)| **before == gone), "a key of a server that stays has moved");
    assert!(moved.len() <= KEYS as usize * 22 / 100, "{} keys moved", moved.len());
}

#[test]
fn the_keys_are_spread_evenly() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES);
    let mean = KEYS / 5;
    let homes = homes(&mut state, now);
    for (slot, server) in state.listed() {
        let keys = homes.iter().filter(|home| **home == slot).count();
        assert!(keys <= mean as usize * 5 / 4, "{} has {keys} keys", server.remote);
    }
    for key in 0..KEYS {
        pick(&mut state, Some(Key::new(format!("key-{key}").as_bytes())), &SlotSet::default(), now).unwrap();
    }
    let loads: Vec<u32> = state.listed().map(|(_, server)| server.open).collect();
    assert!(loads.iter().all(|load| *load <= mean * 5 / 4), "{loads:?}");
}

#[test]
fn keys_are_spread_by_weight() {
    let now = Instant::now();
    let mut state = state(Options::default(), []);
    state.set_servers(list([(NAMES[0], 1), (NAMES[1], 3)]));
    let mut heavy = 0;
    for key in 0..10_000_u32 {
        let server = pick(&mut state, Some(Key::new(&key.to_le_bytes())), &SlotSet::default(), now).unwrap();
        heavy += u32::from(server == NAMES[1]);
        let slot = state.find(&server).unwrap();
        state.release(slot, false, now);
    }
    assert!((7200..7800).contains(&heavy), "{heavy} of 10000 keys are at the server with 3 of 4 weights");
}

/// Above this bound a popular key overflows to the server that the key ranks next.
#[test]
fn a_popular_key_stays_within_the_bound() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES);
    let key = Some(Key::new(b"popular"));
    let first: Vec<String> =
        (0..8).map(|_| pick(&mut state, key, &SlotSet::default(), now).unwrap()).collect();
    assert!(first.iter().all(|name| *name == first[0]), "8 are always allowed: {first:?}");
    let ninth = pick(&mut state, key, &SlotSet::default(), now).unwrap();
    assert_ne!(ninth, first[0]);
    for _ in 9..1000 {
        pick(&mut state, key, &SlotSet::default(), now).unwrap();
    }
    let loads: Vec<u32> = state.listed().map(|(_, server)| server.open).collect();
    let bound = (1000 * 5_u32).div_ceil(4 * 5);
    assert_eq!(loads.iter().max(), Some(&bound), "{loads:?}");
}

#[test]
fn the_bound_counts_the_new_connection_and_rounds_up() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES[..2].iter().copied());
    let key = Some(Key::new(b"k"));
    let home = pick(&mut state, key, &SlotSet::default(), now).unwrap();
    let slot = state.find(&home).unwrap();
    // One of two servers has n of n + 1 connections within ceil(1.25 * (n + 1) / 2) up to n = 8, which are always allowed.
    for open in 2..=8 {
        assert_eq!(pick(&mut state, key, &SlotSet::default(), now).unwrap(), home, "connection {open}");
    }
    // With 8 here and 4 there, ceil(1.25 * 13 / 2) = 9 are allowed here.
    for _ in 0..4 {
        assert_ne!(pick(&mut state, key, &SlotSet::default(), now).unwrap(), home);
    }
    assert_eq!(state.server(slot).open, 8);
    assert_eq!(pick(&mut state, key, &SlotSet::default(), now).unwrap(), home);
}

#[test]
fn two_choices_keep_the_loads_close() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES);
    (0..1000).for_each(|_| drop(pick(&mut state, None, &SlotSet::default(), now).unwrap()));
    let loads: Vec<u32> = state.listed().map(|(_, server)| server.open).collect();
    assert!(loads.iter().all(|load| (190..=210).contains(load)), "{loads:?}");
}

#[test]
fn loads_follow_the_weights() {
    let now = Instant::now();
    let mut state = state(Options::default(), []);
    state.set_servers(list([(NAMES[0], 3), (NAMES[1], 1), (NAMES[2], 0)]));
    (0..400).for_each(|_| drop(pick(&mut state, None, &SlotSet::default(), now).unwrap()));
    let loads: Vec<u32> = state.listed().map(|(_, server)| server.open).collect();
    assert!((290..=310).contains(&loads[0]) && loads[2] == 0, "{loads:?}");
}

#[test]
fn ordered_takes_the_first_that_is_up_and_has_room() {
    let now = Instant::now();
    let options = Options { balance: Balance::Ordered, max_connections: Some(1), ..Options::default() };
    let mut state = state(options, NAMES[..3].iter().copied());
    let slot = state.find(NAMES[0]).unwrap();
    state.check(slot, false, None, "refused");
    assert_eq!(pick(&mut state, None, &SlotSet::default(), now).as_deref(), Some(NAMES[1]));
    assert_eq!(pick(&mut state, None, &SlotSet::default(), now).as_deref(), Some(NAMES[2]));
    assert_eq!(state.pick(None, &SlotSet::default(), now), Pick::Full);
    for _ in 0..2 {
        state.check(slot, true, None, "");
    }
    assert_eq!(pick(&mut state, None, &SlotSet::default(), now).as_deref(), Some(NAMES[0]));
}

fn fail(state: &mut State, now: Instant) -> Choice {
    let choice = choose(state, now);
    state.failed(choice.slot, choice.is_trial, "refused", now);
    state.release(choice.slot, false, now);
    choice
}

#[test]
fn a_server_is_out_after_three_failures_and_the_pause_doubles() {
    let mut now = Instant::now();
    let options = Options { balance: Balance::Ordered, ..Options::default() };
    let mut state = state(options, NAMES[..2].iter().copied());
    let first = state.find(NAMES[0]).unwrap();
    fail(&mut state, now);
    fail(&mut state, now);
    let choice = choose(&mut state, now);
    assert_eq!(choice.slot, first);
    state.succeeded(choice.slot);
    state.release(choice.slot, false, now);
    assert!(state.take_changes().is_empty(), "a success in between ends the row");

    (0..3).for_each(|_| {
        fail(&mut state, now);
    });
    let reason = "refused".into();
    assert_eq!(state.take_changes(), [Change::Down { server: remote(NAMES[0]), reason }]);
    for pause in [10, 20, 40, 60, 60] {
        now += Duration::from_secs(pause) - Duration::from_millis(1);
        assert_ne!(choose(&mut state, now).slot, first, "out for {pause} s");
        now += Duration::from_millis(1);
        let trial = choose(&mut state, now);
        assert!(trial.slot == first && trial.is_trial);
        assert_ne!(choose(&mut state, now).slot, first, "one client tries it");
        state.failed(trial.slot, trial.is_trial, "refused", now);
        state.release(trial.slot, false, now);
    }
    now += Duration::from_secs(60);
    let trial = choose(&mut state, now);
    state.connected(trial.slot, trial.is_trial, now);
    assert!(state.take_changes().is_empty(), "a connect alone proves nothing");
    state.succeeded(trial.slot);
    assert_eq!(state.take_changes(), [Change::Up { server: remote(NAMES[0]) }]);
    assert_eq!(choose(&mut state, now).slot, first);
}

#[test]
fn a_trial_without_a_result_lets_the_next_client_try() {
    let now = Instant::now();
    let options = Options { balance: Balance::Ordered, ..Options::default() };
    let mut state = state(options, NAMES[..2].iter().copied());
    (0..3).for_each(|_| {
        fail(&mut state, now);
    });
    let later = now + Duration::from_secs(10);
    let trial = choose(&mut state, later);
    assert!(trial.is_trial);
    state.release(trial.slot, true, later);
    assert!(choose(&mut state, later).is_trial);
    // One that stays silent lets another client try after the pause.
    state.connected(trial.slot, true, later);
    assert!(!choose(&mut state, later).is_trial);
    assert!(choose(&mut state, later + Duration::from_secs(10)).is_trial);
}

#[test]
fn when_none_is_up_all_are_tried() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES);
    for name in NAMES {
        let slot = state.find(name).unwrap();
        state.check(slot, false, None, "refused");
    }
    assert_eq!(state.take_changes().last(), Some(&Change::NoneUp));
    let mut tried = SlotSet::default();
    while let Pick::Server(choice) = state.pick(None, &tried, now) {
        tried.insert(choice.slot);
    }
    assert_eq!(tried.len(), NAMES.len());
    assert_eq!(state.pick(None, &tried, now), Pick::Exhausted);
}

#[test]
fn a_client_tries_each_of_thousands_of_servers_once() {
    let now = Instant::now();
    let names: Vec<String> = (0..10_000).map(|n| format!("10.0.{}.{}:80", n / 250, n % 250)).collect();
    let mut state = state(Options::default(), names.iter().map(String::as_str));
    let mut tried = SlotSet::default();
    while let Pick::Server(Choice { slot, is_trial }) = state.pick(None, &tried, now) {
        assert!(!tried.contains(slot));
        tried.insert(slot);
        state.release(slot, is_trial, now);
    }
    assert_eq!(tried.len(), names.len());
}

#[test]
fn what_another_process_has_found_is_not_reported_again() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES[..2].iter().copied());
    let slots = [state.find(NAMES[0]).unwrap(), state.find(NAMES[1]).unwrap()];
    for is_up in [false, true] {
        for slot in slots {
            state.set_checked(slot, is_up, None, "refused");
        }
        assert_eq!(state.server(slots[0]).health.is_up(), is_up);
        assert_eq!(state.take_changes(), []);
    }
    (0..3).for_each(|_| state.failed(slots[0], false, "refused", now));
    state.take_changes();
    state.set_checked(slots[1], false, None, "refused");
    assert_eq!(state.take_changes(), [Change::NoneUp], "the other process knows of no failure");
}

#[test]
fn checks_count_in_a_row_and_the_first_one_counts_at_once() {
    let mut state = state(Options::default(), NAMES[..2].iter().copied());
    let slot = state.find(NAMES[0]).unwrap();
    let is_up = |state: &State| state.server(slot).health.is_up();
    assert!(state.check(slot, false, None, "refused") && !is_up(&state));
    assert!(!state.check(slot, true, None, "") && !is_up(&state));
    assert!(state.check(slot, true, None, "") && is_up(&state), "rise");
    for _ in 0..2 {
        assert!(!state.check(slot, false, None, "refused") && is_up(&state));
    }
    assert!(!state.check(slot, true, None, ""));
    for _ in 0..2 {
        assert!(!state.check(slot, false, None, "refused") && is_up(&state), "the row was interrupted");
    }
    assert!(state.check(slot, false, None, "refused") && !is_up(&state), "fall");
}

#[test]
fn a_check_may_set_the_weight() {
    let now = Instant::now();
    let mut state = state(Options::default(), NAMES[..2].iter().copied());
    let slots = [0, 1].map(|index| state.find(NAMES[index]).unwrap());
    state.check(slots[0], true, Some(0), "");
    state.check(slots[1], true, Some(7), "");
    assert_eq!(state.server(slots[1]).weight(), 7);
    assert!((0..20).all(|_| choose(&mut state, now).slot == slots[1]));
    state.check(slots[0], true, None, "");
    assert_eq!(state.server(slots[0]).weight(), 1, "without a number the weight of the configuration counts");
}

#[test]
fn servers_that_no_check_has_seen_wait_for_those_that_are_known_to_be_up() {
    let now = Instant::now();
    let options = Options { check: Some(Duration::from_secs(2)), ..Options::default() };
    let mut state = state(options, NAMES);
    assert!(
        matches!(state.pick(None, &SlotSet::default(), now), Pick::Server(_)),
        "without any result all take part"
    );
    let slot = state.find(NAMES[3]).unwrap();
    state.check(slot, true, None, "");
    assert!((0..20).all(|_| choose(&mut state, now).slot == slot));
}

#[test]
fn a_server_that_leaves_keeps_its_connections_and_counts_on_when_it_comes_back() {
    let now = Instant::now();
    let options = Options { max_connections: Some(1), ..Options::default() };
    let mut state = state(options, [NAMES[0]]);
    let choice = choose(&mut state, now);
    state.set_servers(list([(NAMES[1], 1), (NAMES[1], 5)]));
    assert_eq!(state.listed().count(), 1, "a server that is listed twice counts once");
    assert_eq!(state.open(), 1);
    state.set_servers(list([(NAMES[0], 1)]));
    assert_eq!(state.pick(None, &SlotSet::default(), now), Pick::Full);
    state.release(choice.slot, false, now);
    assert!(matches!(state.pick(None, &SlotSet::default(), now), Pick::Server(_)));
}

#[test]
fn ten_thousand_servers_are_chosen_quickly() {
    let now = Instant::now();
    let names: Vec<String> = (0..10_000).map(|n| format!("10.{}.{}.1:80", n / 256, n % 256)).collect();
    let options = Options { max_connections: Some(2), ..Options::default() };
    let mut state = state(options, names.iter().map(String::as_str));
    for _ in 0..20_000 {
        assert!(matches!(state.pick(None, &SlotSet::default(), now), Pick::Server(_)));
    }
    assert_eq!(state.pick(None, &SlotSet::default(), now), Pick::Full);
    assert!(state.listed().all(|(_, server)| server.open == 2));
}
