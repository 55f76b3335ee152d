//! The relay under every slicing of the streams, every timing and both orders of ending, in memory
//! and on paused time: an hour of silence takes no time, and no clock of the machine plays a part.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_engine::Meters;
use proxymachine_engine::account::Traffic;
use proxymachine_engine::relay::{Outcome, Start, relay};
use proxymachine_engine::stream::{Read, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

/// The relay's side of a connection in memory.
struct Side(Mutex<DuplexStream>);

impl Stream for Side {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut *self.0.lock().unwrap()).poll_read(cx, &mut buffer).map_ok(|()| {
            let count = buffer.filled().len();
            Read { count, is_last: count == 0 }
        })
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], _: bool) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock().unwrap()).poll_write(cx, data)
    }

    fn shutdown(&self) -> io::Result<()> {
        let mut stream = self.0.lock().unwrap();
        match Pin::new(&mut *stream).poll_shutdown(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("memory does not wait"),
        }
    }
}

/// A connection in memory: the peer's side and the relay's.
fn duplex(size: usize) -> (DuplexStream, Side) {
    let (peer, side) = tokio::io::duplex(size);
    (peer, Side(Mutex::new(side)))
}

/// What a relay may keep of one direction: one read.
const CHUNK: usize = 256 * 1024;

/// A tick of tokio's clock, of which two may lie between a deadline and its alarm.
const TICKS: Duration = Duration::from_millis(2);

/// What one side sends: pauses in milliseconds and how many bytes after each.
type Script = Vec<(u64, usize)>;

/// How one side reads: at most so many bytes at once, after a pause in milliseconds.
type Pace = (usize, u64);

#[derive(Debug, Clone)]
struct Case {
    to_server: usize,
    to_client: usize,
    client: Script,
    server: Script,
    client_pace: Pace,
    server_pace: Pace,
    client_buffer: usize,
    server_buffer: usize,
}

fn script(size: impl Strategy<Value = usize>) -> impl Strategy<Value = Script> {
    vec((prop_oneof![3 => Just(0), 1 => 0..2_000_u64], size), 0..6)
}

fn pace(least: usize) -> impl Strategy<Value = Pace> {
    prop_oneof![3 => Just((CHUNK, 0)), 2 => (least..100 * least, 0..50_u64)]
}

/// Streams whose parts have up to `size` bytes, on connections that hold `buffer` bytes.
fn scaled(size: usize, buffer: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    let start = prop_oneof![Just(0), 1..size];
    let scripts = (script(1..size), script(1..size));
    let paces = (pace(buffer.start), pace(buffer.start));
    (start.clone(), start, scripts, paces, buffer.clone(), buffer).prop_map(
        |(to_server, to_client, scripts, paces, client_buffer, server_buffer)| Case {
            to_server,
            to_client,
            client: scripts.0,
            server: scripts.1,
            client_pace: paces.0,
            server_pace: paces.1,
            client_buffer,
            server_buffer,
        },
    )
}

/// Byte by byte, in the sizes of everyday, and more than a relay reads at once.
fn case() -> impl Strategy<Value = Case> {
    prop_oneof![
        3 => scaled(64, 1..16),
        3 => scaled(5_000, 100..20_000),
        1 => scaled(2 * CHUNK, 20_000..2 * CHUNK),
    ]
}

/// Bytes of which none can be lost, doubled or swapped unnoticed; `salt` tells streams apart.
fn pattern(length: usize, salt: u32) -> Vec<u8> {
    (0..length as u32).map(|at| ((at ^ salt).wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

fn total(script: &Script) -> usize {
    script.iter().map(|(_, size)| size).sum()
}

/// Sends the script's bytes and returns the time of the last.
async fn play(writer: &mut (impl AsyncWrite + Unpin), script: &Script, salt: u32) -> Instant {
    let bytes = pattern(total(script), salt);
    let mut rest = &bytes[..];
    for (pause, size) in script {
        sleep(Duration::from_millis(*pause)).await;
        let (now, later) = rest.split_at(*size);
        if writer.write_all(now).await.is_err() {
            break; // The relay is over.
        }
        rest = later;
    }
    Instant::now()
}

/// Reads to the end.
async fn listen(reader: &mut (impl AsyncRead + Unpin), (most, pause): Pace) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = vec![0; most];
    loop {
        match reader.read(&mut buffer).await {
            Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
            _ => return received,
        }
        if pause > 0 {
            sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// Runs on paused time; fails if it takes a day.
fn on_paused_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime
        .unwrap()
        .block_on(async { timeout(Duration::from_secs(24 * 3600), future).await.expect("the relay to end") })
}

/// A relay with its sides in a task of its own, which closes them when it is over.
async fn start(case: &Case, start: Start) -> (DuplexStream, DuplexStream, RelayTask) {
    let (client, client_side) = duplex(case.client_buffer);
    let (server, server_side) = duplex(case.server_buffer);
    let task = tokio::spawn(async move { relayed(&client_side, &server_side, start).await });
    (client, server, task)
}

/// A relay whose bytes nobody counts.
async fn relayed<C: Stream, S: Stream>(client: &C, server: &S, start: Start) -> (Outcome, bool) {
    relay(client, server, start, &mut Traffic::default(), &Meters::default()).await
}

type RelayTask = tokio::task::JoinHandle<(Outcome, bool)>;

fn first_bytes(case: &Case) -> (Vec<u8>, Vec<u8>) {
    (pattern(case.to_server, 0xaaaa), pattern(case.to_client, 0xbbbb))
}

fn start_of(case: &Case) -> Start {
    let (to_server, to_client) = first_bytes(case);
    Start { to_server: to_server.into(), to_client: to_client.into(), ..Start::default() }
}

fn expected(case: &Case) -> (Vec<u8>, Vec<u8>) {
    let (mut up, mut down) = first_bytes(case);
    up.extend(pattern(total(&case.client), 1));
    down.extend(pattern(total(&case.server), 2));
    (up, down)
}

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
        let answered = total(&case.server) > 0;
        let ending = if answered { Outcome::Finished } else { Outcome::Unanswered };
        prop_assert_eq!(outcome, (ending, true));
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
        let answered = total(&case.server) > 0;
        let ending = if answered { Outcome::Finished } else { Outcome::Unanswered };
        prop_assert_eq!(outcome, (ending, false));
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
