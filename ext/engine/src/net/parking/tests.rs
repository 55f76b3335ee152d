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
async fn memory_is_given_back_in_intervals_when_many_were_parked() {
    let mut lot = Lot::open().unwrap();
    let mut park = |count| {
        lot.parked += count;
        (0..FREEING_INTERVAL).map(|_| lot.tick()).collect::<Vec<_>>()
    };
    let once = [true, false, false, false];
    assert_eq!(park(WORTH_FREEING - 1), [false; 4]);
    assert_eq!(park(1), once);
    assert_eq!(park(0), [false; 4]);
    assert_eq!(park(WORTH_FREEING), once);
    assert_eq!(park(WORTH_FREEING), once);
    lot.tick();
    lot.parked += WORTH_FREEING;
    assert!(lot.tick());
    lot.parked += WORTH_FREEING;
    assert_eq!([(); 4].map(|()| lot.tick()), [false, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn memory_is_given_back_after_the_last_has_fallen_silent() {
    use std::cell::Cell;
    let freed = std::rc::Rc::new(Cell::new(0));
    let count = std::rc::Rc::clone(&freed);
    let driver = drive(Lot::open().unwrap(), move || count.set(count.get() + 1));
    let connections = async {
        tokio::task::yield_now().await; // until the driver has opened the lot
        let mut places: Vec<_> = (0..WORTH_FREEING).map(|_| Place::default()).collect();
        poll_fn(|cx| {
            places.retain_mut(|place| !matches!(place.wait(cx, false), Some(Due::Quiet(_))));
            if places.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert_eq!(freed.get(), 0);
        sleep(4 * TICK * FREEING_INTERVAL).await;
        assert_eq!(freed.get(), 1);
    };
    tokio::select! {
        () = driver => unreachable!(),
        () = connections => {}
    }
}

#[tokio::test]
async fn few_places_are_woken_in_one_turn() {
    let mut lot = Lot::open().unwrap();
    let keys: Vec<_> = (0..3 * BATCH).map(|_| enter(&mut lot)).collect();
    lot.tick += 2;
    assert!(lot.wake_due());
    assert_eq!(keys.iter().filter(|key| lot.places[key.index()].is_due).count(), BATCH);
}
