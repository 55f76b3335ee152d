//! Parked connections: nothing that happens to a quiet connection is lost or late.
//!
//! A binary of its own, since all parked sockets of a process are counted.
#![cfg(target_os = "linux")]
// A test binary uses a part of the support.
#![allow(dead_code, unused_imports)]

mod support;

use std::fs;
use std::time::Duration;

use proxymachine_engine::{Config, End};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use support::*;

/// Flag of a socket that wakes once (epoll_ctl(2), EPOLLONESHOT). The runtime uses no such registration.
const ONE_SHOT: u32 = 1 << 30;

/// Returns the number of parked sockets (proc_pid_fdinfo(5)).
fn parked() -> usize {
    let texts = fs::read_dir("/proc/self/fdinfo")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let is_parked = |line: &str| {
        let events = line.strip_prefix("tfd:").and_then(|line| line.split_whitespace().nth(2)?.parse_hex());
        events.is_some_and(|events| events & ONE_SHOT != 0)
    };
    texts.map(|text| text.lines().filter(|line| is_parked(line)).count()).sum()
}

trait ParseHex {
    fn parse_hex(&self) -> Option<u32>;
}

impl ParseHex for str {
    fn parse_hex(&self) -> Option<u32> {
        u32::from_str_radix(self, 16).ok()
    }
}

async fn until_parked(count: usize) {
    let waiting = async {
        while parked() != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("sockets to be parked", waiting).await;
}

/// A relayed connection that is parked.
struct Parked {
    proxy: Proxy,
    client: TcpStream,
    server: TcpStream,
}

impl Parked {
    async fn start(config: Config) -> Self {
        let backend = Backend::start();
        let proxy = Proxy::with(config, always(&backend.remote));
        let mut client = proxy.client_with("request").await;
        let mut server = backend.accept().await;
        assert_eq!(read(&mut server, 7).await, b"request");
        write(&mut server, "reply").await;
        assert_eq!(read(&mut client, 5).await, b"reply");
        until_parked(2).await;
        Self { proxy, client, server }
    }

    /// Ends what is left, and checks that nothing stays parked.
    async fn finish(self) {
        drop((self.client, self.server));
        self.proxy.finish().await;
        assert_eq!(parked(), 0);
    }
}

#[test]
fn parked_connections_go_on_as_if_nothing_had_been() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        bytes_of_either_side_are_relayed().await;
        streams_are_relayed_whole().await;
        a_stream_that_pauses_is_parked().await;
        the_end_of_either_side_is_passed_on().await;
        the_reset_of_either_side_is_passed_on().await;
        urgent_data_wakes().await;
        the_idle_timeout_applies().await;
        a_forced_end_is_noticed().await;
        an_undecided_client_is_parked_and_asked_about().await;
        an_undecided_client_that_leaves_is_noticed().await;
        a_drain_ends_undecided_clients().await;
    });
}

async fn bytes_of_either_side_are_relayed() {
    let Parked { proxy, mut client, mut server } = Parked::start(config()).await;
    for _ in 0..2 {
        write(&mut client, "one").await;
        assert_eq!(read(&mut server, 3).await, b"one");
        until_parked(2).await;
        write(&mut server, "two").await;
        assert_eq!(read(&mut client, 3).await, b"two");
        until_parked(2).await;
    }
    Parked { proxy, client, server }.finish().await;
}

async fn streams_are_relayed_whole() {
    const TOTAL: usize = 20_000_000;
    let Parked { proxy, mut client, mut server } = Parked::start(config()).await;
    let up = async {
        send_pattern(&mut client, TOTAL).await;
        client.shutdown().await.unwrap();
    };
    let ((), received) = tokio::join!(up, collect(&mut server));
    assert_eq!(received, TOTAL);
    Parked { proxy, client, server }.finish().await;
}

/// Each turn moves bytes until the last, after which only the place wakes the relay.
async fn a_stream_that_pauses_is_parked() {
    let Parked { proxy, mut client, mut server } = Parked::start(config()).await;
    let begun = std::time::Instant::now();
    let mut received = 0;
    while begun.elapsed() < Duration::from_millis(2_500) {
        write(&mut client, [0; 1024]).await;
        received += read(&mut server, 1024).await.len();
    }
    assert!(received > 0);
    until_parked(2).await;
    Parked { proxy, client, server }.finish().await;
}

async fn the_end_of_either_side_is_passed_on() {
    let Parked { proxy, mut client, mut server } = Parked::start(config()).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, b"");
    answer(server, "late").await;
    assert_eq!(read_to_end(&mut client).await, b"late");
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;

    let Parked { proxy, mut client, mut server } = Parked::start(config()).await;
    server.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"");
    write(&mut client, "late").await;
    assert_eq!(read(&mut server, 4).await, b"late");
    Parked { proxy, client, server }.finish().await;
}

async fn the_reset_of_either_side_is_passed_on() {
    let Parked { proxy, client, mut server } = Parked::start(config()).await;
    reset(client);
    is_reset(&mut server).await;
    proxy.finish().await;

    let Parked { proxy, mut client, server } = Parked::start(config()).await;
    reset(server);
    is_reset(&mut client).await;
    proxy.finish().await;
}

async fn urgent_data_wakes() {
    let Parked { proxy, mut client, mut server } = Parked::start(config()).await;
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    write(&mut client, "after").await;
    assert_eq!(read(&mut server, 5).await, b"after");
    Parked { proxy, client, server }.finish().await;
}

async fn the_idle_timeout_applies() {
    let limit = Duration::from_secs(5);
    let Parked { proxy, mut client, .. } =
        Parked::start(Config { idle_timeout: Some(limit), ..config() }).await;
    is_over(&mut client).await;
    assert!(matches!(&*proxy.events.end().await, End::Idle { .. }));
    proxy.finish().await;
}

async fn a_forced_end_is_noticed() {
    let Parked { mut proxy, mut client, .. } = Parked::start(config()).await;
    proxy.shutdown.drain(Some(Duration::ZERO));
    is_over(&mut client).await;
    proxy.join().await;
    assert_eq!(parked(), 0);
}

/// Starts a proxy with a silent client that is parked.
async fn undecided(config: Config) -> (Proxy, Backend, TcpStream) {
    let backend = Backend::start();
    let proxy = Proxy::with(config, always(&backend.remote));
    let client = proxy.client().await;
    until_parked(1).await;
    (proxy, backend, client)
}

async fn an_undecided_client_is_parked_and_asked_about() {
    let (proxy, backend, mut client) = undecided(config()).await;
    write(&mut client, "request").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"request");
    Parked { proxy, client, server }.finish().await;
}

async fn an_undecided_client_that_leaves_is_noticed() {
    let (proxy, _, client) = undecided(config()).await;
    drop(client);
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;

    let (proxy, _, client) = undecided(config()).await;
    reset(client);
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;

    let limit = Duration::from_secs(4);
    let (proxy, _, mut client) = undecided(Config { decision_timeout: Some(limit), ..config() }).await;
    is_over(&mut client).await;
    proxy.events.ended_as("DecisionTimeout").await;
    proxy.finish().await;
}

async fn a_drain_ends_undecided_clients() {
    let (proxy, _, mut client) = undecided(config()).await;
    proxy.shutdown.drain(None);
    is_over(&mut client).await;
    proxy.finish().await;
}
