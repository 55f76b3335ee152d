//! The tables against models of them, for random orders of arrivals and departures.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::sample::Index;

use super::keys::{KeyLimit, KeyTable, LimitKey};
use super::table::{SourceTable, Ticket};
use super::{Held, Limits, Source, SourceLimit, SourceLimits, WINDOW};
use crate::{Client, Listener};

const SECOND: u64 = 1_000_000_000;

fn source(number: u8) -> Source {
    Source::V4(Ipv4Addr::from_bits(number.into()))
}

fn limits(connections: Option<u32>, rate: Option<u32>) -> SourceLimits {
    SourceLimits { connections, rate, ..SourceLimits::default() }
}

/// Tells how many of `attempts` connections, each ended at once, a source may begin at one moment.
fn burst(table: &mut SourceTable, number: u8, now: u64, rate: u32, attempts: usize) -> usize {
    let limits = limits(None, Some(rate));
    let entered = (0..attempts).filter_map(|_| table.enter(source(number), now, &limits).ok());
    let tickets: Vec<Ticket> = entered.collect();
    tickets.iter().for_each(|ticket| table.leave(ticket));
    tickets.len()
}

#[test]
fn a_source_has_as_many_connections_as_the_limit_says() {
    let (mut table, limits) = (SourceTable::new(9), limits(Some(2), None));
    let first = table.enter(source(1), 0, &limits).unwrap();
    let _second = table.enter(source(1), 0, &limits).unwrap();
    assert_eq!(table.enter(source(1), 0, &limits).unwrap_err(), SourceLimit::Connections);
    assert!(table.enter(source(2), 0, &limits).is_ok(), "another source has its own count");
    table.leave(&first);
    assert!(table.enter(source(1), 0, &limits).is_ok());
    assert_eq!(table.enter(source(1), 0, &limits).unwrap_err(), SourceLimit::Connections);
}

#[test]
fn a_burst_has_the_size_of_the_rate_and_comes_back_within_a_second() {
    for rate in [1, 2, 3, 7, 100, 1000] {
        let mut table = SourceTable::new(9);
        let size = rate as usize;
        assert_eq!(burst(&mut table, 1, 5, rate, 2 * size), size, "at first, of {rate}");
        assert_eq!(burst(&mut table, 1, 5, rate, size), 0, "at once, of {rate}");
        assert_eq!(
            burst(&mut table, 1, 5 + SECOND / u64::from(rate), rate, size),
            1,
            "after a part, of {rate}"
        );
        assert_eq!(burst(&mut table, 1, 5 + 3 * SECOND, rate, 2 * size), size, "after a pause, of {rate}");
        assert_eq!(burst(&mut table, 2, 5, rate, 2 * size), size, "of another source, of {rate}");
    }
}

#[test]
fn a_refused_connection_takes_nothing_from_the_rate() {
    let mut table = SourceTable::new(9);
    assert_eq!(burst(&mut table, 1, 0, 2, 1000), 2);
    assert_eq!(burst(&mut table, 1, SECOND / 2, 2, 1000), 1);
    assert_eq!(burst(&mut table, 1, SECOND, 2, 1000), 1);
}

#[test]
fn a_source_without_connections_is_displaced_first_the_least_recently_seen_one() {
    let (mut table, rate) = (SourceTable::new(4), limits(None, Some(1)));
    let open = [1, 2].map(|number| table.enter(source(number), 0, &rate).unwrap());
    for number in [3, 4] {
        let ticket = table.enter(source(number), 0, &rate).unwrap();
        table.leave(&ticket);
    }
    assert_eq!(burst(&mut table, 3, 0, 1, 1), 0, "3 is over its rate, and seen again");
    let fifth = table.enter(source(5), 0, &rate).unwrap();
    assert_eq!(table.sizes(), (3, 4));
    assert_eq!(burst(&mut table, 3, 0, 1, 1), 0, "4 was displaced, not 3");
    let sixth = table.enter(source(6), 0, &rate).unwrap();
    assert_eq!(table.sizes(), (4, 4), "3 was displaced");

    let seventh = table.enter(source(7), 0, &rate).unwrap();
    let counts = [1, 2, 5, 6, 7].map(|number| table.connections(source(number)));
    assert_eq!(counts, [0, 1, 1, 1, 1], "all have connections: 1 was seen least recently");
    table.leave(&open[0]);
    let again = table.enter(source(1), SECOND, &rate).unwrap();
    table.leave(&open[0]);
    assert_eq!(table.connections(source(1)), 1, "the connection that was displaced does not count any more");
    [&open[1], &fifth, &sixth, &seventh, &again].into_iter().for_each(|ticket| table.leave(ticket));
    assert_eq!(table.sizes().0, 0);
}

#[test]
fn without_a_rate_a_source_is_forgotten_with_its_last_connection() {
    let (mut table, limits) = (SourceTable::new(9), limits(Some(5), None));
    let tickets = [1, 1, 2].map(|number| table.enter(source(number), 0, &limits).unwrap());
    assert_eq!(table.sizes(), (2, 2));
    tickets.iter().for_each(|ticket| table.leave(ticket));
    assert_eq!(table.sizes(), (0, 0));
}

#[test]
fn a_limit_that_changes_counts_for_new_connections() {
    let mut table = SourceTable::new(9);
    let tickets: Vec<_> = (0..5).map(|_| table.enter(source(1), 0, &limits(None, None)).unwrap()).collect();
    assert!(table.enter(source(1), 0, &limits(Some(5), None)).is_err());
    let sixth = table.enter(source(1), 0, &limits(Some(6), None)).unwrap();
    tickets.iter().chain([&sixth]).for_each(|ticket| table.leave(ticket));
    assert_eq!(table.connections(source(1)), 0);
}

/// One step of a random story.
#[derive(Debug, Clone)]
enum Step {
    /// A connection of the source begins.
    Enter(u8),
    /// One of the open connections ends.
    Leave(Index),
    /// Time passes.
    Wait(u64),
}

fn steps(sources: u8) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..sources).prop_map(Step::Enter),
        4 => any::<Index>().prop_map(Step::Leave),
        1 => (0..SECOND).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn counts_are_those_of_a_model_and_return_to_zero(
        steps in steps(6),
        connections in prop::option::of(1..5_u32),
        rate in prop::option::of(1..20_u32),
    ) {
        let (mut table, limits) = (SourceTable::new(6), limits(connections, rate));
        let mut open: Vec<(u8, Ticket)> = Vec::new();
        let mut begun: HashMap<u8, Vec<u64>> = HashMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Enter(number) => {
                    let count = open.iter().filter(|(other, _)| *other == number).count();
                    let times = begun.entry(number).or_default();
                    match table.enter(source(number), now, &limits) {
                        Ok(ticket) => {
                            prop_assert!(connections.is_none_or(|max| count < max as usize));
                            open.push((number, ticket));
                            times.push(now);
                        }
                        Err(SourceLimit::Connections) => prop_assert_eq!(Some(count), connections.map(|max| max as usize)),
                        Err(SourceLimit::Rate) => {
                            // The last second had at least one connection, and never more than two bursts.
                            let last = times.iter().filter(|time| **time + SECOND > now).count();
                            prop_assert!(last >= 1 && last <= 2 * rate.unwrap() as usize, "{} in a second", last);
                        }
                    }
                }
                Step::Leave(index) if !open.is_empty() => {
                    let (_, ticket) = open.swap_remove(index.index(open.len()));
                    table.leave(&ticket);
                }
                Step::Leave(_) => {}
                Step::Wait(time) => now += time,
            }
            for number in 0..6 {
                let count = open.iter().filter(|(other, _)| *other == number).count();
                prop_assert_eq!(table.connections(source(number)) as usize, count);
            }
        }
        open.iter().for_each(|(_, ticket)| table.leave(ticket));
        prop_assert_eq!(table.sizes().0, 0);
    }

    #[test]
    fn the_table_is_bounded_and_no_source_exceeds_its_limit(steps in steps(20), has_rate: bool) {
        const CAPACITY: usize = 5;
        let (mut table, limits) = (SourceTable::new(CAPACITY), limits(Some(2), has_rate.then_some(3)));
        let mut open: Vec<Ticket> = Vec::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Enter(number) => open.extend(table.enter(source(number), now, &limits)),
                Step::Leave(index) if !open.is_empty() => {
                    table.leave(&open.swap_remove(index.index(open.len())));
                }
                Step::Leave(_) => {}
                Step::Wait(time) => now += time,
            }
            let (with_connections, all) = table.sizes();
            prop_assert!(with_connections <= all && all <= CAPACITY);
            prop_assert!((0..20).all(|number| table.connections(source(number)) <= 2));
        }
        open.iter().for_each(|ticket| table.leave(ticket));
        prop_assert_eq!(table.sizes().0, 0);
        prop_assert!((0..20).all(|number| table.connections(source(number)) == 0));
    }

    #[test]
    fn keys_are_held_by_all_or_none_and_return_to_zero(
        answers in prop::collection::vec((prop::collection::btree_map(0..5_u8, 1..4_u32, 0..4), any::<Index>(), any::<bool>()), 0..200),
    ) {
        let mut table = KeyTable::default();
        let mut open: Vec<Vec<LimitKey>> = Vec::new();
        for (answer, index, ends) in answers {
            let limits: Vec<_> = answer.iter().map(|(key, max)| KeyLimit { key: LimitKey::new(&[*key]), max: *max }).collect();
            let before: Vec<u32> = limits.iter().map(|limit| table.connections(&limit.key)).collect();
            let mut held = Vec::new();
            let is_over = limits.iter().zip(&before).find(|(limit, count)| **count >= limit.max);
            match table.acquire(&limits, &mut held) {
                Ok(()) => {
                    prop_assert!(is_over.is_none());
                    prop_assert_eq!(held.len(), limits.len());
                    open.push(held);
                }
                Err(exceeded) => {
                    prop_assert_eq!(Some(exceeded), is_over.map(|(limit, _)| limit));
                    prop_assert!(held.is_empty());
                }
            }
            if ends && !open.is_empty() {
                table.release(&open.swap_remove(index.index(open.len())));
            }
            for key in 0..5 {
                let key = LimitKey::new(&[key]);
                let count = open.iter().filter(|keys| keys.contains(&key)).count();
                prop_assert_eq!(table.connections(&key) as usize, count);
            }
        }
        open.iter().for_each(|keys| table.release(keys));
        prop_assert_eq!(table.len(), 0);
    }
}

#[test]
fn a_key_that_is_held_already_is_not_counted_again() {
    let (mut table, mut held) = (KeyTable::default(), Vec::new());
    let limit = |key: &str, max| KeyLimit { key: LimitKey::new(key.as_bytes()), max };
    table.acquire(&[limit("a", 1)], &mut held).unwrap();
    table.acquire(&[limit("a", 1), limit("b", 1)], &mut held).unwrap();
    assert_eq!(held.len(), 2);
    assert_eq!(table.acquire(&[limit("a", 1)], &mut Vec::new()).unwrap_err(), &limit("a", 1));
    table.release(&held);
    assert_eq!(table.len(), 0);
}

#[test]
fn long_keys_differ_where_they_are_not_kept() {
    let key = |last: u8| LimitKey::new(&[&[b'x'; 1_000_000][..], &[last]].concat());
    assert_eq!(key(b'a'), key(b'a'));
    assert_ne!(key(b'a'), key(b'b'));
    assert_eq!(key(b'a').to_string(), format!("{}...", "x".repeat(100)));
    assert_ne!(LimitKey::new(&[b'x'; 256]), LimitKey::new(&[b'x'; 257]));
    assert_eq!(LimitKey::new(&[0xff, b'a']).to_string(), "\u{fffd}a");
    assert_eq!(LimitKey::new(b"").to_string(), "");
}

#[test]
fn the_memory_of_many_keys_is_given_back() {
    let mut table = KeyTable::default();
    let mut all = Vec::new();
    for number in 0..100_000_u32 {
        let mut held = Vec::new();
        table.acquire(&[KeyLimit { key: LimitKey::new(&number.to_ne_bytes()), max: 1 }], &mut held).unwrap();
        all.push(held);
    }
    all.iter().for_each(|keys| table.release(keys));
    assert!(table.capacity() < 10_000, "{}", table.capacity());
}

/// Begins so many connections of one client, and counts the refused ones that begin a window.
fn begin(limits: &Limits, connections: usize) -> usize {
    let listeners = Listener::bind("127.0.0.1:0", &Default::default()).unwrap();
    let client = Client::new(Some(([192, 0, 2, 7], 4711).into()), Arc::clone(listeners[0].endpoint()));
    let one = limits_of_one();
    let refused = (0..connections).filter_map(|_| limits.enter(&client, &one, &mut Held::default()).err());
    refused.filter(|refused| refused.begins_window).count()
}

fn limits_of_one() -> SourceLimits {
    limits(Some(1), None)
}

#[tokio::test(start_paused = true)]
async fn the_worst_source_is_reported_at_once_and_each_minute_while_there_is_one() {
    let limits = Arc::new(Limits::default());
    let reports = Arc::new(Mutex::new(Vec::new()));
    let reported = || {
        let reports = std::mem::take(&mut *reports.lock().unwrap());
        reports.into_iter().map(|(closed, all)| format!("{closed} of {all}")).collect::<Vec<_>>()
    };
    assert_eq!(begin(&limits, 2), 1, "the first one is counted, the second one is over the limit");
    let task = tokio::spawn({
        let (limits, reports) = (Arc::clone(&limits), Arc::clone(&reports));
        async move { limits.report(|worst| reports.lock().unwrap().push((worst.closed, worst.all))).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(reported(), ["1 of 1"]);
    assert_eq!(begin(&limits, 9), 0, "the window has begun");
    tokio::time::sleep(WINDOW / 2).await;
    assert!(reported().is_empty());
    tokio::time::sleep(WINDOW).await;
    assert_eq!(reported(), ["10 of 10"]);
    assert_eq!(begin(&limits, 3), 0);
    tokio::time::sleep(WINDOW).await;
    assert_eq!(reported(), ["3 of 3"]);
    tokio::time::sleep(WINDOW).await;
    assert!(task.is_finished() && reported().is_empty());
    assert_eq!(begin(&limits, 1), 1, "a window begins again");
}
