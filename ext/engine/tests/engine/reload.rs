//! Reloads: other listeners and limits while the engine runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::{Client, Config, DrainOutcome, Listener, Router, Verdict};
use tokio::net::TcpStream;

use crate::support::*;

/// A router that echoes the first bytes and closes.
fn echoing() -> impl Router {
    deciding(|data| Verdict::Close(Some(Bytes::copy_from_slice(data))))
}

fn started(threads: usize, listeners: usize) -> Proxy {
    let config = Config { threads, undecided_drain: NEVER, ..config() };
    Proxy::on(listeners, config, echoing(), Recorder::default(), Arc::default())
}

fn at(proxy: &Proxy, listener: usize) -> String {
    proxy.addresses[listener].to_string()
}

async fn is_served(client: &mut TcpStream) {
    write(client, "heard?").await;
    assert_eq!(read_to_end(client).await, b"heard?");
}

/// Returns an address without a listener.
fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn listeners_change_and_connections_stay() {
    let proxy = started(2, 2);
    let mut before = [proxy.client_of(0).await, proxy.client_of(1).await];
    proxy.events.accepted(2).await;
    let new = free_address();
    proxy.reload(&[at(&proxy, 1), new.clone()], config());
    is_served(&mut proxy.client_of(1).await).await;
    is_served(&mut TcpStream::connect(&new).await.unwrap()).await;
    let refused = async {
        while TcpStream::connect(proxy.addresses[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("the end of a listener", refused).await;
    for client in &mut before {
        is_served(client).await;
    }
    proxy.finish().await;
}

#[tokio::test]
async fn no_connection_is_lost_during_reloads() {
    let proxy = started(2, 1);
    let is_over = AtomicBool::new(false);
    let visit = async {
        let mut served = 0;
        while !is_over.load(Relaxed) {
            is_served(&mut proxy.client().await).await;
            served += 1;
        }
        served
    };
    let reload = async {
        for _ in 0..200 {
            proxy.reload(&[at(&proxy, 0)], config());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        is_over.store(true, Relaxed);
    };
    let (served, ()) = tokio::join!(visit, reload);
    assert!(served > 0);
    proxy.finish().await;
}

#[tokio::test]
async fn clients_queued_at_a_removed_listener_are_served() {
    // The limit is one connection, so that the others wait in the queue.
    let proxy = Proxy::with(Config { max_connections: 1, undecided_drain: NEVER, ..config() }, echoing());
    let mut first = proxy.client().await;
    proxy.events.accepted(1).await;
    let mut others = [proxy.client().await, proxy.client().await];
    proxy.reload(&[], Config { max_connections: 3, ..config() });
    proxy.events.accepted(3).await;
    for client in &mut others {
        is_served(client).await;
    }
    is_served(&mut first).await;
    proxy.finish().await;
}

#[tokio::test]
async fn limits_apply_to_later_connections() {
    let proxy = started(1, 1);
    let mut patient = proxy.client().await;
    proxy.events.accepted(1).await;
    let hasty = Config { decision_timeout: Some(Duration::from_millis(1)), ..config() };
    proxy.reload(&[at(&proxy, 0)], hasty);
    // The next client may still be accepted under the old limits.
    let cut_off = async {
        let mut clients = Vec::new();
        loop {
            let mut client = proxy.client().await;
            let ended = tokio::time::timeout(Duration::from_millis(100), read_to_end(&mut client)).await;
            clients.push(client);
            if ended.is_ok() {
                return;
            }
        }
    };
    within("a client that is too slow for the new limit", cut_off).await;
    is_served(&mut patient).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_reload_has_no_effect_during_a_drain() {
    let mut proxy = started(1, 1);
    let _client = proxy.client_with("").await;
    proxy.events.accepted(1).await;
    proxy.shutdown.drain(Some(Duration::ZERO));
    proxy.reload(&[], config());
    let new = free_address();
    proxy.reload(std::slice::from_ref(&new), config());
    assert!(std::net::TcpStream::connect(new).is_err());
    assert!(matches!(proxy.join().await, DrainOutcome::Drained | DrainOutcome::Forced(1)));
}

#[tokio::test]
async fn an_inherited_socket_continues_to_listen() {
    let theirs = Listener::bind("127.0.0.1:0", &Default::default()).unwrap().remove(0);
    let address = theirs.local_addr().unwrap();
    let mut early = TcpStream::connect(address).await.unwrap();
    let mut open = vec![Listener::inherited(theirs.fd(), &address.to_string()).unwrap()];
    drop(theirs);
    let ours = Listener::open(&address.to_string(), &Default::default(), &mut open).unwrap();
    assert!(open.is_empty());
    let proxy = Proxy::listening(ours, config(), echoing(), Recorder::default(), Arc::default());
    is_served(&mut early).await;
    proxy.finish().await;
}

#[test]
fn a_descriptor_that_does_not_listen_is_rejected() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    assert!(Listener::inherited(fd, "127.0.0.1:0").is_err());
    assert!(Listener::inherited(-1, "127.0.0.1:0").is_err());
}

#[tokio::test]
async fn silent_clients_stay_after_a_hand_over() {
    let mut proxy = started(1, 1);
    let mut silent = proxy.client().await;
    proxy.events.accepted(1).await;
    proxy.shutdown.hand_over();
    proxy.shutdown.drain(None);
    is_served(&mut silent).await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

fn at_most(connections: usize) -> Config {
    Config { max_connections: connections, undecided_drain: NEVER, ..config() }
}

#[tokio::test]
async fn a_removed_listener_with_clients_in_its_queue_can_be_taken_back() {
    let proxy = Proxy::on(2, at_most(1), echoing(), Recorder::default(), Arc::default());
    let (kept, removed) = (at(&proxy, 0), at(&proxy, 1));
    let mut first = proxy.client().await;
    proxy.events.accepted(1).await;
    let mut queued = proxy.client_of(1).await;
    proxy.reload(std::slice::from_ref(&kept), at_most(1));
    // Until the removed socket has no room left.
    let full = async {
        let mut waiting = Vec::new();
        while let Ok(Ok(client)) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(&removed)).await
        {
            waiting.push(client);
        }
        waiting
    };
    let waiting = within("a full queue", full).await;
    proxy.reload(&[kept, removed.clone()], at_most(1));
    drop(waiting);
    let mut later = Vec::new();
    for _ in 0..20 {
        later.push(within("room in the queue", TcpStream::connect(&removed)).await.unwrap());
    }
    is_served(&mut first).await;
    is_served(&mut queued).await;
    for client in &mut later {
        within("an answer", is_served(client)).await;
    }
    proxy.finish().await;
}

#[tokio::test]
async fn a_process_with_a_successor_ends_although_clients_keep_coming() {
    let listener = Listener::bind("127.0.0.1:0", &Default::default()).unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    let _successors = listener.try_clone().unwrap();
    // Slower than the clients are in coming back.
    let slow = |_: &Client, data: Bytes| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Verdict::Close(Some(data))
    };
    let mut proxy = Proxy::listening(vec![listener], at_most(1), slow, Recorder::default(), Arc::default());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        clients.spawn(async move {
            loop {
                // The queue is never empty, because the other three wait there.
                let mut client = TcpStream::connect(address).await.unwrap();
                write(&mut client, "heard?").await;
                read_to_end(&mut client).await;
            }
        });
    }
    proxy.events.accepted(20).await;
    proxy.shutdown.hand_over();
    proxy.shutdown.drain(None);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    clients.shutdown().await;
    proxy.check_records();
}
