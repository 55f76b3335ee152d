//! The allocations of a connection and of a message, and the memory of a waiting connection. They are counted, so that a regression
//! fails on any machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::ready;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::{Client, Config, Engine, Listener, Observer, Remote, Shutdown, Verdict};

/// Allocations per short connection that its client ends: three are tokio's (two sockets and a task), three
/// watch the half-closed connection (a timer in a box, and the client's reset).
const PER_CONNECTION: usize = 13;

/// Bytes of an idle connection: two sockets of 256 and a task of 640, which tokio aligns to 128.
const PER_IDLE_CONNECTION: isize = 1_170;

/// Bytes of the same connection after a second without traffic: it is parked, so that tokio keeps nothing for its sockets.
const PER_PARKED_CONNECTION: isize = 650;

/// Bytes of a parked connection whose client has sent something and is undecided: the task and the decision.
const PER_UNDECIDED_CONNECTION: isize = 980;

const CONNECTIONS: usize = 200;

const IDLE: usize = 100;
const MESSAGES: usize = 1_000;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Bytes that the engine's thread has allocated and not freed.
static LIVE: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IS_ENGINE: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, which counts the allocations of the engine's thread.
struct Counting;

// SAFETY: all calls go to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_engine() {
            LIVE.fetch_sub(layout.size() as isize, Relaxed);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn is_engine() -> bool {
    IS_ENGINE.try_with(Cell::get).unwrap_or(false)
}

fn count(bytes: isize) {
    if is_engine() {
        COUNT.fetch_add(1, Relaxed);
        LIVE.fetch_add(bytes, Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Marks the engine's thread.
struct Watcher;

impl Observer for Watcher {
    fn accepted(&self, _client: &Client) {
        IS_ENGINE.set(true);
    }
}

/// Echoes the messages of each connection.
fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 100];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    stream.write_all(&buffer[..count]).unwrap();
                }
            });
        }
    });
    address
}

fn round_trip(client: &mut TcpStream) {
    let mut reply = [0; 100];
    client.write_all(&[b'x'; 100]).unwrap();
    client.read_exact(&mut reply).unwrap();
}

/// Returns how many bytes the engine holds more than `before` for each of the [`IDLE`] connections.
fn held(before: isize) -> isize {
    (LIVE.load(Relaxed) - before) / IDLE as isize
}

/// Waits until the engine holds at most `limit` bytes more than `before` for each of the [`IDLE`] connections, ten seconds at
/// most. Returns how many it holds.
fn lowest(before: isize, limit: isize) -> isize {
    for _ in 0..100 {
        if held(before) <= limit {
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    held(before)
}

#[test]
fn connections_are_small_and_messages_allocate_nothing() {
    let backend: Remote = start_echo().to_string().parse().unwrap();
    let router = move |_: &Client, data: Bytes| {
        ready(if data.ends_with(b"?") { Verdict::Wait(None) } else { Verdict::connect(backend.clone()) })
    };
    let listeners = Listener::bind("127.0.0.1:0", &Default::default()).unwrap();
    let proxy = listeners[0].local_addr().unwrap();
    let shutdown = Arc::new(Shutdown::new());
    let config = Config { threads: 1, ..Config::default() };
    let engine = Engine::start(listeners, config, router, Watcher, Arc::clone(&shutdown)).unwrap();

    let serve = |connections: usize| {
        for _ in 0..connections {
            let mut client = TcpStream::connect(proxy).unwrap();
            round_trip(&mut client);
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
        COUNT.load(Relaxed)
    };
    let warm = serve(50);
    let served = serve(CONNECTIONS);
    let each = (served - warm).div_ceil(CONNECTIONS);
    assert!(each <= PER_CONNECTION, "{each} allocations a connection");

    let mut client = TcpStream::connect(proxy).unwrap();
    round_trip(&mut client);
    let before = COUNT.load(Relaxed);
    (0..MESSAGES).for_each(|_| round_trip(&mut client));
    assert_eq!(COUNT.load(Relaxed) - before, 0, "a message allocates nothing");

    let before = LIVE.load(Relaxed);
    let mut idle: Vec<_> = (0..IDLE).map(|_| TcpStream::connect(proxy).unwrap()).collect();
    idle.iter_mut().for_each(round_trip);
    let each = held(before);
    assert!(each <= PER_IDLE_CONNECTION, "{each} bytes for an idle connection");

    let each = lowest(before, PER_PARKED_CONNECTION);
    assert!(each <= PER_PARKED_CONNECTION, "{each} bytes for a parked connection");
    idle.iter_mut().for_each(round_trip);
    lowest(before, PER_PARKED_CONNECTION);

    let before = LIVE.load(Relaxed);
    let mut undecided: Vec<_> = (0..IDLE).map(|_| TcpStream::connect(proxy).unwrap()).collect();
    undecided.iter_mut().for_each(|client| client.write_all(b"where?").unwrap());
    thread::sleep(Duration::from_millis(500)); // until all have been asked about
    let each = lowest(before, PER_UNDECIDED_CONNECTION);
    assert!(each <= PER_UNDECIDED_CONNECTION, "{each} bytes for an undecided connection");
    undecided.iter_mut().for_each(round_trip);

    drop((client, idle, undecided));
    shutdown.drain(None);
    engine.join();
}
