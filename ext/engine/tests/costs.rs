//! What a connection and a message cost in allocations: counted, not timed, so that a regression
//! fails on any machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::ready;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use bytes::Bytes;
use proxymachine_engine::{Client, Config, Listener, Observer, Remote, Shutdown, Verdict, server};

/// Allocations per short connection that its client ends: three are tokio's (two sockets and a task), three
/// watch the half-closed connection (a timer in a box, and the client's reset).
const PER_CONNECTION: usize = 13;

const CONNECTIONS: usize = 200;
const MESSAGES: usize = 1_000;

static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_ENGINE: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, counting what the engine's thread asks for.
struct Counting;

// SAFETY: everything is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count() {
    if IS_ENGINE.try_with(Cell::get).unwrap_or(false) {
        COUNT.fetch_add(1, Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Knows the engine's thread by being called on it.
struct Watcher;

impl Observer for Watcher {
    fn accepted(&self, _client: &Client) {
        IS_ENGINE.set(true);
    }
}

/// Answers each connection's messages with themselves, one connection after the other.
fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 100];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                stream.write_all(&buffer[..count]).unwrap();
            }
        }
    });
    address
}

fn round_trip(client: &mut TcpStream) {
    let mut reply = [0; 100];
    client.write_all(&[b'x'; 100]).unwrap();
    client.read_exact(&mut reply).unwrap();
}

#[test]
fn a_connection_allocates_little_and_a_message_nothing() {
    let backend: Remote = start_echo().to_string().parse().unwrap();
    let router = move |_: &Client, _: Bytes| ready(Verdict::connect(backend.clone()));
    let listeners = Listener::bind("127.0.0.1:0", &Default::default()).unwrap();
    let proxy = listeners[0].local_addr().unwrap();
    let shutdown = Arc::new(Shutdown::new());
    let config = Config { threads: 1, ..Config::default() };
    let engine = server::start(listeners, config, router, Watcher, Arc::clone(&shutdown)).unwrap();

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

    drop(client);
    shutdown.drain(None);
    engine.join();
}
