//! Both peers of a relay in memory, and what they do.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_engine::Meters;
use proxymachine_engine::account::Traffic;
use proxymachine_engine::relay::{Outcome, Start, relay};
use proxymachine_engine::stream::{Read, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

/// The relay's side of a connection in memory.
pub struct Side {
    stream: Mutex<DuplexStream>,
    /// Whether a read tells of the end with the last bytes, as a socket does if both have come.
    foresees: bool,
}

impl Stream for Side {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut stream = self.stream.lock().unwrap();
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        let mut count = buffer.filled().len();
        let mut is_last = count == 0;
        while self.foresees && !is_last && buffer.remaining() > 0 {
            let cx = &mut Context::from_waker(Waker::noop());
            if Pin::new(&mut *stream).poll_read(cx, &mut buffer)?.is_pending() {
                break;
            }
            is_last = buffer.filled().len() == count;
            count = buffer.filled().len();
        }
        Poll::Ready(Ok(Read { count, is_last }))
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], _: bool) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream.lock().unwrap()).poll_write(cx, data)
    }

    fn shutdown(&self) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap();
        match Pin::new(&mut *stream).poll_shutdown(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("memory does not wait"),
        }
    }
}

/// A connection in memory: the peer's side and the relay's.
pub fn duplex(size: usize) -> (DuplexStream, Side) {
    let (peer, stream) = tokio::io::duplex(size);
    (peer, Side { stream: Mutex::new(stream), foresees: false })
}

/// What a relay may keep of one direction: one read.
pub const CHUNK: usize = 256 * 1024;

/// A tick of tokio's clock, of which two may lie between a deadline and its alarm.
pub const TICKS: Duration = Duration::from_millis(2);

/// What one side sends: pauses in milliseconds and how many bytes after each.
pub type Script = Vec<(u64, usize)>;

/// How one side reads: at most so many bytes at once, after a pause in milliseconds.
pub type Pace = (usize, u64);

#[derive(Debug, Clone)]
pub struct Case {
    pub to_server: usize,
    pub to_client: usize,
    pub client: Script,
    pub server: Script,
    pub client_pace: Pace,
    pub server_pace: Pace,
    pub client_buffer: usize,
    pub server_buffer: usize,
    pub foresees: bool,
}

pub fn script(size: impl Strategy<Value = usize>) -> impl Strategy<Value = Script> {
    vec((prop_oneof![3 => Just(0), 1 => 0..2_000_u64], size), 0..6)
}

pub fn pace(least: usize) -> impl Strategy<Value = Pace> {
    prop_oneof![3 => Just((CHUNK, 0)), 2 => (least..100 * least, 0..50_u64)]
}

/// Streams whose parts have up to `size` bytes, on connections that hold `buffer` bytes.
pub fn scaled(size: usize, buffer: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    let start = prop_oneof![Just(0), 1..size];
    let scripts = (script(1..size), script(1..size));
    let paces = (pace(buffer.start), pace(buffer.start));
    (start.clone(), start, scripts, paces, buffer.clone(), buffer, any::<bool>()).prop_map(
        |(to_server, to_client, scripts, paces, client_buffer, server_buffer, foresees)| Case {
            to_server,
            to_client,
            client: scripts.0,
            server: scripts.1,
            client_pace: paces.0,
            server_pace: paces.1,
            client_buffer,
            server_buffer,
            foresees,
        },
    )
}

/// Byte by byte, in the sizes of everyday, and more than a relay reads at once.
pub fn case() -> impl Strategy<Value = Case> {
    prop_oneof![
        3 => scaled(64, 1..16),
        3 => scaled(5_000, 100..20_000),
        1 => scaled(2 * CHUNK, 20_000..2 * CHUNK),
    ]
}

/// Bytes of which none can be lost, doubled or swapped unnoticed; `salt` tells streams apart.
pub fn pattern(length: usize, salt: u32) -> Vec<u8> {
    (0..length as u32).map(|at| ((at ^ salt).wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

pub fn total(script: &Script) -> usize {
    script.iter().map(|(_, size)| size).sum()
}

/// Sends the script's bytes and returns the time of the last.
pub async fn play(writer: &mut (impl AsyncWrite + Unpin), script: &Script, salt: u32) -> Instant {
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
pub async fn listen(reader: &mut (impl AsyncRead + Unpin), (most, pause): Pace) -> Vec<u8> {
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
pub fn on_paused_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime
        .unwrap()
        .block_on(async { timeout(Duration::from_secs(24 * 3600), future).await.expect("the relay to end") })
}

/// A relay with its sides in a task of its own, which closes them when it is over.
pub async fn start(case: &Case, start: Start) -> (DuplexStream, DuplexStream, RelayTask) {
    let (client, mut client_side) = duplex(case.client_buffer);
    let (server, mut server_side) = duplex(case.server_buffer);
    (client_side.foresees, server_side.foresees) = (case.foresees, case.foresees);
    let task = tokio::spawn(async move { relayed(&client_side, &server_side, start).await });
    (client, server, task)
}

/// A relay whose bytes nobody counts.
pub async fn relayed<C: Stream, S: Stream>(client: &C, server: &S, start: Start) -> (Outcome, bool) {
    relay(client, server, start, &mut Traffic::default(), &Meters::default()).await
}

pub type RelayTask = tokio::task::JoinHandle<(Outcome, bool)>;

pub fn first_bytes(case: &Case) -> (Vec<u8>, Vec<u8>) {
    (pattern(case.to_server, 0xaaaa), pattern(case.to_client, 0xbbbb))
}

pub fn start_of(case: &Case) -> Start {
    let (to_server, to_client) = first_bytes(case);
    Start { to_server: to_server.into(), to_client: to_client.into(), ..Start::default() }
}

pub fn expected(case: &Case) -> (Vec<u8>, Vec<u8>) {
    let (mut up, mut down) = first_bytes(case);
    up.extend(pattern(total(&case.client), 1));
    down.extend(pattern(total(&case.server), 2));
    (up, down)
}

/// How a relay whose server ends properly is over, and whether the client had ended before.
pub fn ending(case: &Case, client_ended: bool) -> (Outcome, bool) {
    let answered = total(&case.server) > 0;
    (if answered { Outcome::Finished } else { Outcome::Unanswered }, client_ended)
}
