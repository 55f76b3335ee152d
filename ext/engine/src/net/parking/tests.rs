//! The queue of places.

use super::*;

fn enter(lot: &mut Lot) -> Key {
    lot.enter(Waker::noop().clone()).unwrap()
}

#[tokio::test]
async fn places_that_were_left_do_not_stay_in_the_queue() {
    let mut lot = Lot::open().unwrap();
    for _ in 0..10 * MAX_SKIPPED {
        let key = enter(&mut lot);
        lot.places.remove(key.index());
    }
    for _ in 0..20 {
        lot.wake_due();
    }
    assert!(lot.queue.is_empty());
    lot.shrink();
    assert!(lot.queue.capacity() <= 2 * CAPACITY);
}

#[tokio::test]
async fn a_place_is_due_again_until_it_is_parked() {
    let mut lot = Lot::open().unwrap();
    let key = enter(&mut lot);
    for _ in 0..3 {
        assert!(!lot.wake_due());
        assert!(!std::mem::take(&mut lot.places[key.index()].is_due));
        lot.tick += 2;
        assert!(!lot.wake_due());
        assert!(std::mem::take(&mut lot.places[key.index()].is_due));
    }
    lot.places[key.index()].due = NEVER;
    lot.tick += 2;
    assert!(!lot.wake_due());
    assert!(!lot.places[key.index()].is_due && lot.queue.is_empty());
}

#[tokio::test]
async fn few_places_are_woken_in_one_turn() {
    let mut lot = Lot::open().unwrap();
    let keys: Vec<_> = (0..3 * BATCH).map(|_| enter(&mut lot)).collect();
    lot.tick += 2;
    assert!(lot.wake_due());
    assert_eq!(keys.iter().filter(|key| lot.places[key.index()].is_due).count(), BATCH);
}
