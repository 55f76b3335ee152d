use super::*;

fn key(name: &str) -> Key {
    (Arc::from(name), Family::Both)
}

fn queue(
    state: &mut State,
    lane: Lane,
    names: std::ops::Range<usize>,
) -> Vec<watch::Receiver<Option<Found>>> {
    names.map(|name| state.queue(key(&format!("{lane:?} {name}")), lane)).collect()
}

fn start_all(state: &mut State) -> Vec<Key> {
    std::iter::from_fn(|| state.start_next()).collect()
}

/// Makes the lookups that run overdue.
fn let_time_pass(state: &mut State) {
    for lookup in state.lookups.values_mut() {
        if let Progress::RunningSince(since) = &mut lookup.progress {
            *since -= 2 * SILENT_AFTER;
        }
    }
}

#[test]
fn each_lane_has_a_limit() {
    for lane in Lane::ALL {
        let mut state = State::default();
        let _waiting = queue(&mut state, lane, 0..1000);
        assert_eq!(start_all(&mut state).len(), lane.limit(), "{lane:?}");
    }
}

#[test]
fn lookups_start_in_the_order_of_arrival() {
    let mut state = State::default();
    let mut waiting = queue(&mut state, Lane::New, 0..1);
    waiting.extend(queue(&mut state, Lane::Silent, 0..1));
    waiting.extend(queue(&mut state, Lane::New, 1..2));
    let names: Vec<_> = start_all(&mut state).into_iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["New 0", "Silent 0", "New 1"]);
}

#[test]
fn overdue_lookups_make_room_for_others_of_their_lane() {
    let mut state = State::default();
    let _waiting = queue(&mut state, Lane::Known, 0..100);
    assert_eq!(start_all(&mut state).len(), Lane::Known.limit());
    let_time_pass(&mut state);
    state.find_overdue();
    assert_eq!(start_all(&mut state).len(), Lane::Known.limit());
}

#[test]
fn overdue_lookups_of_one_family_keep_their_places() {
    let mut state = State::default();
    let _names = queue(&mut state, Lane::New, 0..60);
    let _families = queue(&mut state, Lane::ByFamily, 0..120);
    start_all(&mut state);
    for _ in 0..10 {
        let_time_pass(&mut state);
        state.find_overdue();
        assert!(start_all(&mut state).is_empty());
    }
    let _new = queue(&mut state, Lane::New, 60..61);
    assert_eq!(start_all(&mut state).len(), 1);
}

#[test]
fn silent_names_leave_threads_to_known_and_local_ones() {
    let mut state = State::default();
    let _silent = queue(&mut state, Lane::New, 0..1000);
    loop {
        if start_all(&mut state).is_empty() {
            break;
        }
        let_time_pass(&mut state);
        state.find_overdue();
    }
    let all = |state: &State| state.running.iter().sum::<usize>();
    assert_eq!(all(&state), MAX_THREADS - Lane::Known.limit() - Lane::Local.limit());
    let _known = queue(&mut state, Lane::Known, 0..1000);
    let _local = queue(&mut state, Lane::Local, 0..1000);
    assert_eq!(start_all(&mut state).len(), Lane::Known.limit() + Lane::Local.limit());
    assert_eq!(all(&state), MAX_THREADS);
}

#[test]
fn the_lane_follows_from_the_history() {
    let mut state = State::default();
    let name = key("name.invalid");
    assert_eq!(state.lane(&name, false), Lane::New);
    assert_eq!(state.lane(&name, true), Lane::ByFamily);
    state.history.record(&name, true, true);
    assert_eq!(state.lane(&name, false), Lane::Silent);
    state.history.record(&name, true, false);
    assert_eq!(state.lane(&name, false), Lane::Known);
    assert_eq!(state.lane(&key("localhost"), false), Lane::Local);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

#[test]
fn a_lookup_has_the_port_and_leaves_no_thread() {
    let resolver = Arc::new(Resolver::default());
    let found = block_on(resolver.look_up(&Arc::from("127.0.0.1"), 80, Family::Both, false));
    assert_eq!(found.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
    assert_eq!(resolver.lock().threads, 1);
    resolver.stop(Duration::from_secs(10));
    assert_eq!(resolver.lock().threads, 0);
}

#[test]
fn connections_share_a_lookup_and_the_last_one_that_leaves_drops_it() {
    let resolver = Arc::new(Resolver::default());
    resolver.lock().running[Lane::New as usize] = MAX_THREADS; // No lookup can start.
    let enqueue = |name| resolver.enqueue(key(name), false).unwrap();
    let (one, two, other) = (enqueue("one.invalid"), enqueue("one.invalid"), enqueue("other.invalid"));
    assert_eq!(resolver.lock().lookups.len(), 2);
    drop(one);
    drop(other);
    assert_eq!(resolver.lock().lookups.len(), 1);
    drop(two);
    let state = resolver.lock();
    assert!(state.lookups.is_empty() && state.queues.iter().all(BTreeMap::is_empty));
}
