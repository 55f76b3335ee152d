//! The peers of a relay, in memory.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proxymachine_engine::ListenerMetrics;
use proxymachine_engine::net::stream::{Read, Stream};
use proxymachine_engine::observer::record::Traffic;
use proxymachine_engine::relay::{self, RelayOutcome, Start, relay, resume};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How a side ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By a FIN. The side reads on.
    Fin,
    /// By a FIN, and by a reset some time later.
    FinThenReset,
    /// By a reset.
    Reset,
}

/// The relay's side of a connection in memory.
pub struct Side {
    stream: Mutex<DuplexStream>,
    /// How the peer has reset the connection, if it has. It has no stream any more then.
    reset: watch::Receiver<Option<Ending>>,
    /// Whether a read reports the end with the last bytes, as a socket does if both have come.
    pub foresees: bool,
}

impl Stream for Side {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut stream = self.stream.lock().unwrap();
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        let mut count = buffer.filled().len();
        let was_reset = *self.reset.borrow() == Some(Ending::Reset);
        if count == 0 && was_reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let mut is_last = count == 0;
        while self.foresees && !was_reset && !is_last && buffer.remaining() > 0 {
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

    async fn wait_for_reset(&self) {
        if self.reset.clone().wait_for(Option::is_some).await.is_err() {
            std::future::pending().await // The peer lives.
        }
    }

    fn shutdown(&self) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap();
        match Pin::new(&mut *stream).poll_shutdown(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("memory does not wait"),
        }
    }
}

/// Returns the peer's side and the relay's side of a connection in memory.
pub fn duplex(size: usize) -> (DuplexStream, Side) {
    let (peer, side, _) = resettable(size);
    (peer, side)
}

/// Returns the same, and what tells the relay's side of a reset by the peer.
pub fn resettable(size: usize) -> (DuplexStream, Side, watch::Sender<Option<Ending>>) {
    let (peer, stream) = tokio::io::duplex(size);
    let (sender, reset) = watch::channel(None);
    (peer, Side { stream: Mutex::new(stream), reset, foresees: false }, sender)
}

/// Plays one side of a connection to its end. Returns what it received before its own end.
pub async fn take_part(
    stream: DuplexStream,
    reset: watch::Sender<Option<Ending>>,
    (script, salt, pace): (&Script, u32, Pace),
    ending: Ending,
) -> Vec<u8> {
    let (mut reads, mut writes) = tokio::io::split(stream);
    let sending = async {
        play(&mut writes, script, salt).await;
        if ending != Ending::Reset {
            let _ = writes.shutdown().await;
        }
        if ending == Ending::FinThenReset {
            sleep(Duration::from_millis(500)).await;
        }
    };
    if ending == Ending::Fin {
        return tokio::join!(listen(&mut reads, pace), sending).0;
    }
    let reading = async {
        listen(&mut reads, pace).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = sending => {}
        () = reading => {}
    }
    reset.send_replace(Some(ending));
    drop((reads, writes));
    Vec::new()
}

/// Bytes that a relay may keep for one direction: one read.
pub const CHUNK: usize = 256 * 1024;

/// Two ticks of tokio's clock, which may lie between a deadline and its timer.
pub const TICKS: Duration = Duration::from_millis(2);

/// The sends of one side: pauses in milliseconds, and the bytes after each.
pub type Script = Vec<(u64, usize)>;

/// The reads of one side: the maximal size, and the pause in milliseconds.
pub type Pace = (usize, u64);

#[derive(Debug, Clone)]
pub struct Case {
    pub to_backend: usize,
    pub to_client: usize,
    pub client: Script,
    pub backend: Script,
    pub client_pace: Pace,
    pub backend_pace: Pace,
    pub client_buffer: usize,
    pub backend_buffer: usize,
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
        |(to_backend, to_client, scripts, paces, client_buffer, backend_buffer, foresees)| Case {
            to_backend,
            to_client,
            client: scripts.0,
            backend: scripts.1,
            client_pace: paces.0,
            backend_pace: paces.1,
            client_buffer,
            backend_buffer,
            foresees,
        },
    )
}

/// Streams of single bytes, of usual sizes, and of more than a relay reads at once.
pub fn case() -> impl Strategy<Value = Case> {
    prop_oneof![
        3 => scaled(64, 1..16),
        3 => scaled(5_000, 100..20_000),
        1 => scaled(2 * CHUNK, 20_000..2 * CHUNK),
    ]
}

/// Returns bytes in which a lost, doubled or swapped byte shows; `salt` tells streams apart.
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

/// Runs a relay in a task of its own, which closes both sides at the end.
pub async fn start(case: &Case, start: Start<'static>) -> (DuplexStream, DuplexStream, RelayTask) {
    let (client, mut client_side) = duplex(case.client_buffer);
    let (backend, mut backend_side) = duplex(case.backend_buffer);
    (client_side.foresees, backend_side.foresees) = (case.foresees, case.foresees);
    let task = tokio::spawn(async move { relayed(&client_side, &backend_side, start).await });
    (client, backend, task)
}

/// Runs a relay without looking at its record.
pub async fn relayed<C: Stream, S: Stream>(
    client: &C,
    backend: &S,
    start: Start<'_>,
) -> (RelayOutcome, bool) {
    let (outcome, client_eof, _) = relayed_to_end(client, backend, start).await;
    (outcome, client_eof)
}

/// Runs a relay, also the rest of an upload. Returns the outcome, whether the client has ended, and the side to reset.
pub async fn relayed_to_end<C: Stream, S: Stream>(
    client: &C,
    backend: &S,
    start: Start<'_>,
) -> (RelayOutcome, bool, Option<relay::Side>) {
    let (mut traffic, metrics) = (Traffic::default(), ListenerMetrics::default());
    let limits = (start.half_closed_timeout, start.idle_timeout);
    let end = relay(client, backend, start, &mut traffic, &metrics).await;
    let Some(upload) = end.upload else { return (end.outcome, end.client_eof, end.reset) };
    assert_eq!((&end.outcome, end.reset), (&RelayOutcome::Unanswered, None));
    let rest = resume(upload, Bytes::new(), limits.0, limits.1, &mut traffic, &metrics).await;
    (end.outcome, rest.client_eof, rest.reset)
}

pub type RelayTask = tokio::task::JoinHandle<(RelayOutcome, bool)>;

pub fn first_bytes(case: &Case) -> (Vec<u8>, Vec<u8>) {
    (pattern(case.to_backend, 0xaaaa), pattern(case.to_client, 0xbbbb))
}

pub fn start_of(case: &Case) -> Start<'static> {
    let (to_backend, to_client) = first_bytes(case);
    Start { to_backend: to_backend.into(), to_client: to_client.into(), ..Start::default() }
}

pub fn expected(case: &Case) -> (Vec<u8>, Vec<u8>) {
    let (mut up, mut down) = first_bytes(case);
    up.extend(pattern(total(&case.client), 1));
    down.extend(pattern(total(&case.backend), 2));
    (up, down)
}

/// Returns the expected outcome of a relay whose backend ends its side.
pub fn outcome(case: &Case) -> RelayOutcome {
    if total(&case.backend) > 0 { RelayOutcome::Finished } else { RelayOutcome::Unanswered }
}

/// Every order of ends. A FIN is the most frequent one.
pub fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![2 => Just(Ending::Fin), 1 => Just(Ending::FinThenReset), 1 => Just(Ending::Reset)]
}
