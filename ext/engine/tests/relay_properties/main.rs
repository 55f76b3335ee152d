//! The relay under every slicing of the streams, every timing and both orders of ending, in memory
//! and on paused time, which makes an hour of silence pass at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_engine::ListenerMetrics;
use proxymachine_engine::observer::record::Traffic;
use proxymachine_engine::relay::{self, RelayOutcome, Start, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

mod memory;

use memory::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn both_sides_get_everything_in_order_when_the_client_ends_first(case in case(), late in any::<bool>()) {
        let (ended, to_backend, to_client) = on_paused_time(async {
            let (client, backend, task) = start(&case, start_of(&case)).await;
            let (mut client_reads, mut client_writes) = tokio::io::split(client);
            let (mut backend_reads, mut backend_writes) = tokio::io::split(backend);
            let client = async {
                play(&mut client_writes, &case.client, 1).await;
                client_writes.shutdown().await.unwrap();
            };
            // The backend ends after the client's end, and may begin to answer only then.
            let backend = async {
                let listening = listen(&mut backend_reads, case.backend_pace);
                let received = if late {
                    let received = listening.await;
                    play(&mut backend_writes, &case.backend, 2).await;
                    received
                } else {
                    tokio::join!(listening, play(&mut backend_writes, &case.backend, 2)).0
                };
                backend_writes.shutdown().await.unwrap();
                received
            };
            let ((), to_backend, to_client) =
                tokio::join!(client, backend, listen(&mut client_reads, case.client_pace));
            (task.await.unwrap(), to_backend, to_client)
        });
        let (up, down) = expected(&case);
        prop_assert!(to_backend == up, "{} of {} bytes reached the backend", to_backend.len(), up.len());
        prop_assert!(to_client == down, "{} of {} bytes reached the client", to_client.len(), down.len());
        prop_assert_eq!(ended, (outcome(&case), true));
    }

    #[test]
    fn both_sides_get_everything_in_order_when_the_backend_ends_first(case in case()) {
        let (ended, to_backend, to_client) = on_paused_time(async {
            let (client, backend, task) = start(&case, start_of(&case)).await;
            let (mut client_reads, mut client_writes) = tokio::io::split(client);
            let (mut backend_reads, mut backend_writes) = tokio::io::split(backend);
            // The client ends after the backend's end.
            let client = async {
                let sending = play(&mut client_writes, &case.client, 1);
                let (_, received) = tokio::join!(sending, listen(&mut client_reads, case.client_pace));
                client_writes.shutdown().await.unwrap();
                received
            };
            let backend = async {
                play(&mut backend_writes, &case.backend, 2).await;
                backend_writes.shutdown().await.unwrap();
            };
            let ((), to_client, to_backend) =
                tokio::join!(backend, client, listen(&mut backend_reads, case.backend_pace));
            (task.await.unwrap(), to_backend, to_client)
        });
        let (up, down) = expected(&case);
        prop_assert!(to_backend == up, "{} of {} bytes reached the backend", to_backend.len(), up.len());
        prop_assert!(to_client == down, "{} of {} bytes reached the client", to_client.len(), down.len());
        prop_assert_eq!(ended, (outcome(&case), true));
    }

    #[test]
    fn a_fin_stays_a_fin_and_a_reset_a_reset(
        case in case(),
        (client_ending, backend_ending) in (ending(), ending()),
    ) {
        let ((ended, _, reset), to_backend, to_client) = on_paused_time(async {
            let (client, mut client_side, client_reset) = resettable(case.client_buffer);
            let (backend, mut backend_side, backend_reset) = resettable(case.backend_buffer);
            (client_side.foresees, backend_side.foresees) = (case.foresees, case.foresees);
            let begin = start_of(&case);
            let task = tokio::spawn(async move { relayed_to_end(&client_side, &backend_side, begin).await });
            let client_plays = (&case.client, 1, case.client_pace);
            let backend_plays = (&case.backend, 2, case.backend_pace);
            let (to_client, to_backend) = tokio::join!(
                take_part(client, client_reset, client_plays, client_ending),
                take_part(backend, backend_reset, backend_plays, backend_ending),
            );
            (task.await.unwrap(), to_backend, to_client)
        });
        let (up, down) = expected(&case);
        use Ending::{Fin, FinThenReset, Reset};
        // A side that reads on receives all that the other has sent.
        if client_ending == Fin {
            prop_assert!(to_client == down, "{} of {} bytes reached the client", to_client.len(), down.len());
        }
        if backend_ending == Fin {
            prop_assert!(to_backend == up, "{} of {} bytes reached the backend", to_backend.len(), up.len());
        }
        match (client_ending, backend_ending) {
            (Fin, Fin) => prop_assert_eq!((ended, reset), (outcome(&case), None)),
            (Reset, Fin) => prop_assert_eq!(reset, Some(relay::Side::Backend)),
            (Fin, Reset) => prop_assert_eq!(reset, Some(relay::Side::Client)),
            (FinThenReset, Fin) => prop_assert_ne!(reset, Some(relay::Side::Client)),
            (Fin, FinThenReset) => prop_assert_ne!(reset, Some(relay::Side::Backend)),
            _ => {}
        }
    }

    #[test]
    fn inactivity_counts_from_the_last_byte_to_the_backend(
        replay in 0..1_000_usize,
        gaps in vec((0..10_000_u64, 1..100_usize), 0..6),
        beyond in 1..100_000_u64,
    ) {
        let limit = Duration::from_millis(gaps.iter().map(|(gap, _)| *gap).max().unwrap_or(0) + beyond + 10);
        let (outcome, silence) = on_paused_time(async {
            let (mut client, side) = duplex(10_000);
            let (_server, backend_side) = duplex(10_000);
            let begin = Start {
                to_backend: pattern(replay, 0).into(),
                inactivity_timeout: Some(limit),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { relayed(&side, &backend_side, begin).await });
            let last = play(&mut client, &gaps, 1).await;
            (task.await.unwrap(), last - begun)
        });
        let (RelayOutcome::Inactive { elapsed, limit: told }, false) = outcome else {
            return Err(TestCaseError::fail(format!("{outcome:?}")));
        };
        prop_assert_eq!(told, limit);
        prop_assert!(elapsed >= silence + limit && elapsed <= silence + limit + TICKS, "after {:?}", elapsed);
    }

    #[test]
    fn inactivity_after_an_answer_ends_the_relay_as_finished(
        bytes in vec((any::<bool>(), 0..1_000_u64), 1..20),
    ) {
        let limit = Duration::from_millis(1_010);
        let (outcome, lasted, last) = on_paused_time(async {
            let (mut client, side) = duplex(100);
            let (mut backend, backend_side) = duplex(100);
            let begin = Start { inactivity_timeout: Some(limit), ..Start::default() };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &backend_side, begin).await, Instant::now()) });
            backend.write_all(b"answer").await.unwrap();
            for (from_client, pause) in &bytes {
                sleep(Duration::from_millis(*pause)).await;
                let from = if *from_client { &mut client } else { &mut backend };
                from.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (outcome, end) = task.await.unwrap();
            (outcome, end - begun, last)
        });
        prop_assert_eq!(outcome, (RelayOutcome::Finished, false));
        prop_assert!(lasted >= last + limit && lasted <= last + limit + TICKS, "{:?} after {:?}", lasted, last);
    }

    #[test]
    fn traffic_in_either_direction_postpones_the_idle_timeout(
        bytes in vec((any::<bool>(), 0..1_000_u64), 0..20),
        replay in 0..50_usize,
        inactivity in proptest::option::of(5_000..50_000_u64),
    ) {
        let limit = Duration::from_millis(1_010);
        let (outcome, lasted, last) = on_paused_time(async {
            let (mut client, side) = duplex(100);
            let (mut backend, backend_side) = duplex(100);
            let begin = Start {
                to_backend: pattern(replay, 0).into(),
                // The longer timeout has no effect.
                inactivity_timeout: inactivity.map(Duration::from_millis),
                idle_timeout: Some(limit),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &backend_side, begin).await, Instant::now()) });
            for (from_client, pause) in &bytes {
                sleep(Duration::from_millis(*pause)).await;
                let from = if *from_client { &mut client } else { &mut backend };
                from.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (outcome, end) = task.await.unwrap();
            let (mut to_client, mut to_backend) = (Vec::new(), Vec::new());
            client.read_to_end(&mut to_client).await.unwrap();
            backend.read_to_end(&mut to_backend).await.unwrap();
            assert_eq!(to_backend.len() + to_client.len(), replay + bytes.len());
            (outcome, end - begun, last)
        });
        prop_assert_eq!(outcome, (RelayOutcome::Idle { limit }, false));
        prop_assert!(lasted >= last + limit && lasted <= last + limit + TICKS, "{:?} after {:?}", lasted, last);
    }

    #[test]
    fn half_closed_timeout_counts_from_the_last_byte(
        answers in vec(0..1_000_u64, 0..10),
        half_closed in 1_010..5_000_u64,
        inactivity in proptest::option::of(1_010..5_000_u64),
    ) {
        let limit = Duration::from_millis(half_closed.min(inactivity.unwrap_or(u64::MAX)));
        let (outcome, lasted, last) = on_paused_time(async {
            let (mut client, side) = duplex(100);
            let (mut backend, backend_side) = duplex(100);
            let begin = Start {
                to_backend: Bytes::from_static(b"request"),
                inactivity_timeout: inactivity.map(Duration::from_millis),
                half_closed_timeout: Some(Duration::from_millis(half_closed)),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &backend_side, begin).await, Instant::now()) });
            client.shutdown().await.unwrap();
            for pause in &answers {
                sleep(Duration::from_millis(*pause)).await;
                backend.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (outcome, end) = task.await.unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            assert_eq!(received.len(), answers.len());
            (outcome, end - begun, last)
        });
        match outcome {
            (RelayOutcome::Finished, true) => prop_assert!(!answers.is_empty()),
            (RelayOutcome::Inactive { limit: told, .. }, true) => {
                prop_assert!(answers.is_empty());
                prop_assert_eq!(told, limit);
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
        prop_assert!(lasted >= last + limit && lasted <= last + limit + TICKS, "{:?} after {:?}", lasted, last);
    }

    #[test]
    fn half_closed_timeout_counts_from_the_last_byte_to_a_backend_that_has_ended(
        bytes in vec(0..1_000_u64, 0..10),
        half_closed in 1_010..5_000_u64,
        inactivity in proptest::option::of(1_010..5_000_u64),
    ) {
        let limit = Duration::from_millis(half_closed);
        let (ended, lasted, last) = on_paused_time(async {
            let (mut client, side) = duplex(100);
            let (mut backend, backend_side) = duplex(100);
            let begin = Start {
                inactivity_timeout: inactivity.map(Duration::from_millis), // Has no effect after the backend's end.
                half_closed_timeout: Some(limit),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &backend_side, begin).await, Instant::now()) });
            backend.write_all(b"answer").await.unwrap();
            backend.shutdown().await.unwrap();
            for pause in &bytes {
                sleep(Duration::from_millis(*pause)).await;
                client.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (ended, end) = task.await.unwrap();
            let mut received = Vec::new();
            backend.read_to_end(&mut received).await.unwrap();
            assert_eq!(received.len(), bytes.len());
            (ended, end - begun, last)
        });
        prop_assert_eq!(ended, (RelayOutcome::Finished, false));
        prop_assert!(lasted >= last + limit && lasted <= last + limit + TICKS, "{:?} after {:?}", lasted, last);
    }

    #[test]
    fn a_side_that_does_not_read_stops_the_other(
        source_buffer in 1..CHUNK,
        sink_buffer in 1..CHUNK,
        upwards in any::<bool>(),
        first in 0..(2 * CHUNK),
    ) {
        let taken = on_paused_time(async {
            let (client_buffer, backend_buffer) =
                if upwards { (source_buffer, sink_buffer) } else { (sink_buffer, source_buffer) };
            let (client, side) = duplex(client_buffer);
            let (backend, backend_side) = duplex(backend_buffer);
            let first = Bytes::from(pattern(first, 0));
            let begin = match upwards {
                true => Start { to_backend: first, ..Start::default() },
                false => Start { to_client: first, ..Start::default() },
            };
            let _task = tokio::spawn(async move { relayed(&side, &backend_side, begin).await });
            let (mut source, _sink) = if upwards { (client, backend) } else { (backend, client) };
            let taken = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&taken);
            let block = vec![0; 10_000];
            tokio::spawn(async move {
                while let Ok(written) = source.write(&block).await {
                    count.fetch_add(written, Ordering::Relaxed);
                }
            });
            // Paused time advances when all tasks wait.
            sleep(Duration::from_secs(3600)).await;
            taken.load(Ordering::Relaxed)
        });
        let most = source_buffer + CHUNK + sink_buffer;
        prop_assert!(taken <= most, "{taken} bytes were taken, at most {most} expected");
        prop_assert!(taken >= source_buffer);
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_limits_do_not_overflow() {
    let (_client, side) = duplex(10);
    let (_server, backend_side) = duplex(10);
    let begin = Start {
        inactivity_timeout: Some(Duration::MAX),
        half_closed_timeout: Some(Duration::MAX),
        ..Start::default()
    };
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(timeout(year, relayed(&side, &backend_side, begin)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_open_connection_without_limits_may_stay_silent() {
    let (mut client, side) = duplex(10);
    let (mut backend, backend_side) = duplex(10);
    let begin = Start { half_closed_timeout: Some(Duration::from_secs(60)), ..Start::default() };
    let task = tokio::spawn(async move { relayed(&side, &backend_side, begin).await });
    sleep(Duration::from_secs(365 * 24 * 3600)).await;
    client.write_all(b"still here").await.unwrap();
    let mut received = [0; 10];
    backend.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"still here");
    drop((backend, client));
    assert_eq!(task.await.unwrap(), (RelayOutcome::Unanswered, true));
}

#[test]
fn a_waiting_relay_is_small() {
    let (_client, side) = duplex(10);
    let (_backend, backend_side) = duplex(10);
    let (mut traffic, metrics) = (Traffic::default(), ListenerMetrics::default());
    let relay = relay(&side, &backend_side, Start::default(), &mut traffic, &metrics);
    let size = size_of_val(&relay);
    assert!(size <= 184, "{size} bytes");
}
