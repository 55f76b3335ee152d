//! The relay under every slicing of the streams, every timing and both orders of ending, in memory
//! and on paused time: an hour of silence takes no time, and no clock of the machine plays a part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_engine::relay::{Outcome, Start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

mod memory;

use memory::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn both_sides_get_everything_in_order_when_the_client_ends_first(case in case(), late in any::<bool>()) {
        let (outcome, to_server, to_client) = on_paused_time(async {
            let (client, server, task) = start(&case, start_of(&case)).await;
            let (mut client_reads, mut client_writes) = tokio::io::split(client);
            let (mut server_reads, mut server_writes) = tokio::io::split(server);
            let client = async {
                play(&mut client_writes, &case.client, 1).await;
                client_writes.shutdown().await.unwrap();
            };
            // The server ends after it has heard the client's end, and may begin to answer then only.
            let server = async {
                let listening = listen(&mut server_reads, case.server_pace);
                let received = if late {
                    let received = listening.await;
                    play(&mut server_writes, &case.server, 2).await;
                    received
                } else {
                    tokio::join!(listening, play(&mut server_writes, &case.server, 2)).0
                };
                server_writes.shutdown().await.unwrap();
                received
            };
            let ((), to_server, to_client) =
                tokio::join!(client, server, listen(&mut client_reads, case.client_pace));
            (task.await.unwrap(), to_server, to_client)
        });
        let (up, down) = expected(&case);
        prop_assert!(to_server == up, "{} of {} bytes reached the server", to_server.len(), up.len());
        prop_assert!(to_client == down, "{} of {} bytes reached the client", to_client.len(), down.len());
        prop_assert_eq!(outcome, ending(&case, true));
    }

    #[test]
    fn the_client_gets_everything_and_the_server_no_wrong_byte_when_the_server_ends_first(
        case in case(),
        vanishes in any::<bool>(),
    ) {
        let (outcome, to_server, to_client) = on_paused_time(async {
            let (client, server, task) = start(&case, start_of(&case)).await;
            let (mut client_reads, mut client_writes) = tokio::io::split(client);
            let (mut server_reads, mut server_writes) = tokio::io::split(server);
            // It never ends by itself.
            let client = tokio::spawn({
                let script = case.client.clone();
                async move {
                    play(&mut client_writes, &script, 1).await;
                    std::future::pending::<()>().await;
                }
            });
            let server = async {
                play(&mut server_writes, &case.server, 2).await;
                server_writes.shutdown().await.unwrap();
                // Either it reads on, or it is gone with all that it has not read.
                match vanishes {
                    true => { drop((server_reads, server_writes)); Vec::new() }
                    false => listen(&mut server_reads, case.server_pace).await,
                }
            };
            let (to_server, to_client) = tokio::join!(server, listen(&mut client_reads, case.client_pace));
            client.abort();
            (task.await.unwrap(), to_server, to_client)
        });
        let (up, down) = expected(&case);
        prop_assert!(up.starts_with(&to_server), "wrong bytes reached the server");
        prop_assert!(to_client == down, "{} of {} bytes reached the client", to_client.len(), down.len());
        prop_assert_eq!(outcome, ending(&case, false));
    }

    #[test]
    fn a_silent_server_is_inactive_so_long_after_the_last_byte_that_went_to_it(
        replay in 0..1_000_usize,
        gaps in vec((0..10_000_u64, 1..100_usize), 0..6),
        beyond in 1..100_000_u64,
    ) {
        let limit = Duration::from_millis(gaps.iter().map(|(gap, _)| *gap).max().unwrap_or(0) + beyond + 10);
        let (outcome, silence) = on_paused_time(async {
            let (mut client, side) = duplex(10_000);
            let (_server, server_side) = duplex(10_000);
            let begin = Start {
                to_server: pattern(replay, 0).into(),
                inactivity_timeout: Some(limit),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { relayed(&side, &server_side, begin).await });
            let last = play(&mut client, &gaps, 1).await;
            (task.await.unwrap(), last - begun)
        });
        let (Outcome::Inactive { elapsed, limit: told }, false) = outcome else {
            return Err(TestCaseError::fail(format!("{outcome:?}")));
        };
        prop_assert_eq!(told, limit);
        prop_assert!(elapsed >= silence + limit && elapsed <= silence + limit + TICKS, "after {:?}", elapsed);
    }

    #[test]
    fn any_byte_keeps_a_connection_alive_and_its_silence_after_an_answer_ends_it_quietly(
        bytes in vec((any::<bool>(), 0..1_000_u64), 1..20),
    ) {
        let limit = Duration::from_millis(1_010);
        let (outcome, lasted, last) = on_paused_time(async {
            let (mut client, side) = duplex(100);
            let (mut server, server_side) = duplex(100);
            let begin = Start { inactivity_timeout: Some(limit), ..Start::default() };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &server_side, begin).await, Instant::now()) });
            server.write_all(b"answer").await.unwrap();
            for (from_client, pause) in &bytes {
                sleep(Duration::from_millis(*pause)).await;
                let from = if *from_client { &mut client } else { &mut server };
                from.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (outcome, end) = task.await.unwrap();
            (outcome, end - begun, last)
        });
        prop_assert_eq!(outcome, (Outcome::Finished, false));
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
            let (mut server, server_side) = duplex(100);
            let begin = Start {
                to_server: pattern(replay, 0).into(),
                // Whoever comes later plays no part.
                inactivity_timeout: inactivity.map(Duration::from_millis),
                idle_timeout: Some(limit),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &server_side, begin).await, Instant::now()) });
            for (from_client, pause) in &bytes {
                sleep(Duration::from_millis(*pause)).await;
                let from = if *from_client { &mut client } else { &mut server };
                from.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (outcome, end) = task.await.unwrap();
            let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
            client.read_to_end(&mut to_client).await.unwrap();
            server.read_to_end(&mut to_server).await.unwrap();
            assert_eq!(to_server.len() + to_client.len(), replay + bytes.len());
            (outcome, end - begun, last)
        });
        prop_assert_eq!(outcome, (Outcome::Idle { limit }, false));
        prop_assert!(lasted >= last + limit && lasted <= last + limit + TICKS, "{:?} after {:?}", lasted, last);
    }

    #[test]
    fn a_half_closed_connection_lasts_until_so_long_after_its_last_byte(
        answers in vec(0..1_000_u64, 0..10),
        patience in 1_010..5_000_u64,
        inactivity in proptest::option::of(1_010..5_000_u64),
    ) {
        let limit = Duration::from_millis(patience.min(inactivity.unwrap_or(u64::MAX)));
        let (outcome, lasted, last) = on_paused_time(async {
            let (mut client, side) = duplex(100);
            let (mut server, server_side) = duplex(100);
            let begin = Start {
                to_server: Bytes::from_static(b"request"),
                inactivity_timeout: inactivity.map(Duration::from_millis),
                half_closed_timeout: Some(Duration::from_millis(patience)),
                ..Start::default()
            };
            let begun = Instant::now();
            let task = tokio::spawn(async move { (relayed(&side, &server_side, begin).await, Instant::now()) });
            client.shutdown().await.unwrap();
            for pause in &answers {
                sleep(Duration::from_millis(*pause)).await;
                server.write_all(b".").await.unwrap();
            }
            let last = begun.elapsed();
            let (outcome, end) = task.await.unwrap();
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            assert_eq!(received.len(), answers.len());
            (outcome, end - begun, last)
        });
        match outcome {
            (Outcome::Finished, true) => prop_assert!(!answers.is_empty()),
            (Outcome::Inactive { limit: told, .. }, true) => {
                prop_assert!(answers.is_empty());
                prop_assert_eq!(told, limit);
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        }
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
            let (client_buffer, server_buffer) =
                if upwards { (source_buffer, sink_buffer) } else { (sink_buffer, source_buffer) };
            let (client, side) = duplex(client_buffer);
            let (server, server_side) = duplex(server_buffer);
            let first = Bytes::from(pattern(first, 0));
            let begin = match upwards {
                true => Start { to_server: first, ..Start::default() },
                false => Start { to_client: first, ..Start::default() },
            };
            let _task = tokio::spawn(async move { relayed(&side, &server_side, begin).await });
            let (mut source, _sink) = if upwards { (client, server) } else { (server, client) };
            let taken = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&taken);
            let block = vec![0; 10_000];
            tokio::spawn(async move {
                while let Ok(written) = source.write(&block).await {
                    count.fetch_add(written, Ordering::Relaxed);
                }
            });
            // Paused time moves on when nothing else can.
            sleep(Duration::from_secs(3600)).await;
            taken.load(Ordering::Relaxed)
        });
        let most = source_buffer + CHUNK + sink_buffer;
        prop_assert!(taken <= most, "{taken} bytes were taken, {most} have their place");
        prop_assert!(taken >= source_buffer);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_as_long_as_they_come_are_no_limits() {
    let (_client, side) = duplex(10);
    let (_server, server_side) = duplex(10);
    let begin = Start {
        inactivity_timeout: Some(Duration::MAX),
        half_closed_timeout: Some(Duration::MAX),
        ..Start::default()
    };
    let year = Duration::from_secs(365 * 24 * 3600);
    assert!(timeout(year, relayed(&side, &server_side, begin)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn without_limits_an_open_connection_may_be_silent_for_ever() {
    let (mut client, side) = duplex(10);
    let (mut server, server_side) = duplex(10);
    let begin = Start { half_closed_timeout: Some(Duration::from_secs(60)), ..Start::default() };
    let task = tokio::spawn(async move { relayed(&side, &server_side, begin).await });
    sleep(Duration::from_secs(365 * 24 * 3600)).await;
    client.write_all(b"still here").await.unwrap();
    let mut received = [0; 10];
    server.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"still here");
    drop(server);
    assert_eq!(task.await.unwrap(), (Outcome::Unanswered, false));
}
