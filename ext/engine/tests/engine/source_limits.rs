//! The limits of the connections from one source.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use proxymachine_engine::listener::Options;
use proxymachine_engine::proxy_protocol::{Version, header};
use proxymachine_engine::{Config, DrainOutcome, End, Listener, Networks, Router, SourceLimits, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::*;

fn limited(connections: Option<u32>, rate: Option<u32>) -> Config {
    let source_limits = SourceLimits { connections, rate, ..SourceLimits::default() };
    Config { source_limits, undecided_drain: NEVER, ..config() }
}

/// A router that echoes the first bytes and closes.
fn echoing() -> impl Router {
    deciding(|data| Verdict::Close(Some(Bytes::copy_from_slice(data))))
}

/// Connects from 127.0.0.`host`.
async fn client_from(proxy: &Proxy, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    within("a connection", socket.connect(proxy.addresses[0])).await.unwrap()
}

async fn is_served(client: &mut TcpStream) {
    write(client, "heard?").await;
    assert_eq!(read_to_end(client).await, b"heard?");
}

/// Expects the end of the stream without a byte, by FIN: a client that has sent nothing gets no reset.
async fn is_closed(client: &mut TcpStream) {
    assert_eq!(read_to_end(client).await, b"");
}

/// Returns the letters of all ended connections, sorted.
fn codes(proxy: &Proxy) -> Vec<&'static str> {
    let events = proxy.events.all();
    let code = |event: &Event| if let Event::Recorded(code, ..) = event { Some(*code) } else { None };
    let mut codes: Vec<_> = events.iter().filter_map(code).collect();
    codes.sort_unstable();
    codes
}

#[tokio::test]
async fn a_source_above_its_limit_is_closed_and_others_are_served() {
    for threads in [1, 3] {
        let (router, mut questions) = asking();
        let proxy = Proxy::with(Config { threads, ..limited(Some(2), None) }, router);
        let mut first = client_from(&proxy, 1).await;
        let mut second = client_from(&proxy, 1).await;
        proxy.events.accepted(2).await;
        for _ in 0..3 {
            is_closed(&mut client_from(&proxy, 1).await).await;
        }
        let mut other = client_from(&proxy, 2).await;
        questions.assert_none();
        for client in [&mut first, &mut second, &mut other] {
            write(client, "served").await;
            questions.next().await.answer(Verdict::Close(None));
            is_closed(client).await;
        }
        proxy.events.closed(6).await;
        questions.assert_none();
        write(&mut client_from(&proxy, 1).await, "again").await;
        questions.next().await.answer(Verdict::Close(None));
        proxy.events.closed(7).await;
        assert_eq!(codes(&proxy), ["PR", "PR", "PR", "PR", "RL", "RL", "RL"]);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_source_above_its_rate_is_closed() {
    let proxy = Proxy::with(limited(None, Some(3)), echoing());
    // Four connections take less than a third of a second, in which one more would be allowed, unless the machine is
    // busy; then try again from another source.
    for host in 1..=20 {
        let begun = std::time::Instant::now();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(client_from(&proxy, host).await);
        }
        let mut last = clients.pop().unwrap();
        for mut client in clients {
            is_served(&mut client).await;
        }
        let mut closed = false;
        if begun.elapsed().as_millis() < 300 {
            is_closed(&mut last).await;
            closed = true;
        }
        drop(last);
        if closed {
            proxy
                .events
                .count(1, "a connection over the rate", |event| matches!(event, Event::Recorded("RL", ..)))
                .await;
            proxy.finish().await;
            return;
        }
    }
    panic!("this machine was too busy twenty times");
}

#[tokio::test]
async fn exempt_networks_have_no_limit() {
    let mut config = limited(Some(1), Some(1));
    config.source_limits.exempt = Networks::parse(["127.0.0.2/31"]).unwrap();
    let proxy = Proxy::with(config, echoing());
    let mut clients = Vec::new();
    for host in [2, 2, 3, 2, 3] {
        clients.push(client_from(&proxy, host).await);
    }
    let _one = client_from(&proxy, 1).await;
    is_closed(&mut client_from(&proxy, 1).await).await;
    for mut client in clients {
        is_served(&mut client).await;
    }
    drop(_one);
    proxy.finish().await;
}

#[tokio::test]
async fn the_worst_source_is_reported_at_once() {
    let proxy = Proxy::with(limited(Some(1), None), echoing());
    let _one = client_from(&proxy, 7).await;
    for _ in 0..3 {
        is_closed(&mut client_from(&proxy, 7).await).await;
    }
    let warning =
        |event: &Event| if let Event::SourceOverLimit(worst) = event { Some(worst.clone()) } else { None };
    let worst = proxy.events.wait_for("a warning", |events| events.iter().find_map(warning)).await;
    assert_eq!(
        (worst.source.to_string(), worst.limit.setting(), worst.max),
        ("127.0.0.7".into(), "max_connections_per_source", 1)
    );
    assert!((1..=3).contains(&worst.closed) && worst.closed == worst.all, "{worst:?}");
    assert_eq!(proxy.events.all().iter().filter_map(warning).count(), 1, "the next one is due in a minute");
    drop(_one);
    proxy.finish().await;
}

#[tokio::test]
async fn counts_stay_over_a_reload_and_the_new_limit_counts_for_new_connections() {
    let proxy = Proxy::with(limited(Some(3), None), echoing());
    let address = vec![proxy.addresses[0].to_string()];
    let mut clients = [client_from(&proxy, 1).await, client_from(&proxy, 1).await];
    proxy.events.accepted(2).await;
    proxy.reload(&address, limited(Some(2), None));
    is_closed(&mut client_from(&proxy, 1).await).await;
    proxy.reload(&address, limited(Some(1), None));
    is_served(&mut clients[0]).await;
    proxy.events.closed(2).await;
    is_closed(&mut client_from(&proxy, 1).await).await;
    is_served(&mut clients[1]).await;
    proxy.events.closed(4).await;
    is_served(&mut client_from(&proxy, 1).await).await;
    proxy.reload(&address, limited(None, None));
    let mut many = Vec::new();
    for _ in 0..5 {
        many.push(client_from(&proxy, 1).await);
    }
    for mut client in many {
        is_served(&mut client).await;
    }
    proxy.finish().await;
}

#[tokio::test]
async fn clients_of_a_unix_socket_have_no_source() {
    let path = std::env::temp_dir().join(format!("source-limits-{}.sock", std::process::id()));
    let address = format!("unix:{}", path.display());
    let listeners = Listener::open(&address, &Options::default(), &mut Vec::new()).unwrap();
    let proxy = Proxy::listening(
        listeners,
        limited(Some(1), Some(1)),
        echoing(),
        Recorder::default(),
        Arc::default(),
    );
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(tokio::net::UnixStream::connect(&path).await.unwrap());
    }
    for mut client in clients {
        write(&mut client, "heard?").await;
        assert_eq!(read_to_end(&mut client).await, b"heard?");
    }
    proxy.finish().await;
}

/// Starts a proxy behind a load balancer.
fn behind_a_balancer(config: Config, router: impl Router) -> Proxy {
    let trusted_proxies = Some(Networks::parse(["127.0.0.0/8"]).unwrap());
    let listeners =
        Listener::bind("127.0.0.1:0", &Options { trusted_proxies, ..Options::default() }).unwrap();
    Proxy::listening(listeners, config, router, Recorder::default(), Arc::default())
}

/// Returns a client for which a load balancer has sent a header.
async fn client_of(proxy: &Proxy, ip: &str) -> TcpStream {
    let source = SocketAddr::new(ip.parse().unwrap(), 4711);
    let destination =
        SocketAddr::new(if source.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" }.parse().unwrap(), 443);
    proxy.client_with(header(Version::Two, Some(source), Some(destination))).await
}

#[tokio::test]
async fn the_source_is_the_one_of_the_proxy_header() {
    let (router, mut questions) = asked_early();
    let mut proxy = behind_a_balancer(limited(Some(1), None), router);
    let sources = [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),
        ("::ffff:203.0.113.8", "203.0.113.8"),
    ];
    let mut open = Vec::new();
    for (index, (first, second)) in sources.into_iter().enumerate() {
        let client = client_of(&proxy, first).await;
        let question = questions.next().await;
        assert_eq!(question.kind, Kind::Accepted);
        open.push((client, question));
        let mut over = client_of(&proxy, second).await;
        is_closed(&mut over).await;
        proxy.events.closed(index + 1).await;
        questions.assert_none();
    }
    let other = client_of(&proxy, "2001:db8:1:3::1").await;
    questions.next().await.answer(Verdict::Close(Some("next /64".into())));
    let ends: Vec<_> = proxy.events.all().iter().filter_map(Event::ended).collect();
    let is_limit = |end: &&(_, Arc<End>)| matches!(*end.1, End::SourceLimit { max: 1, .. });
    assert_eq!(ends.iter().filter(is_limit).count(), 3, "{ends:?}");
    drop(other);
    for (client, question) in open {
        question.answer(Verdict::Close(None));
        drop(client);
    }
    proxy.shutdown.drain(None);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    assert_eq!(proxy.stats.current(), 0);
}

#[tokio::test]
async fn a_balancer_has_no_limit_of_its_own_while_its_header_is_due() {
    let proxy = behind_a_balancer(limited(Some(1), None), echoing());
    let mut clients = Vec::new();
    for number in 0..5 {
        let client = proxy.client().await;
        proxy.events.accepted(number + 1).await;
        clients.push(client);
    }
    for (client, host) in clients.iter_mut().zip(1..) {
        let source = SocketAddr::from(([203, 0, 113, host], 4711));
        write(client, header(Version::One, Some(source), Some(source))).await;
        is_served(client).await;
    }
    let mut proxy = proxy;
    proxy.shutdown.drain(None);
    proxy.join().await;
}

#[tokio::test]
async fn a_flood_of_one_source_is_closed_without_a_question_and_others_are_served() {
    let (router, mut questions) = asking();
    let proxy = Proxy::with(limited(Some(1), None), router);
    let held = client_from(&proxy, 1).await;
    proxy.events.accepted(1).await;
    for _ in 0..200 {
        // A client that has sent something sees an end, too, and no reset.
        let mut client = client_from(&proxy, 1).await;
        let _ = client.write_all(b"flood").await;
        is_closed(&mut client).await;
    }
    questions.assert_none();
    let mut other = client_from(&proxy, 2).await;
    write(&mut other, "served").await;
    let question = questions.next().await;
    assert_eq!(question.client, other.local_addr().unwrap().to_string());
    question.answer(Verdict::Close(None));
    drop(held);
    is_closed(&mut other).await;
    proxy.finish().await;
}

#[tokio::test]
async fn connections_that_a_drain_cuts_off_are_not_counted_any_more() {
    let mut proxy = Proxy::with(limited(Some(5), None), echoing());
    let _clients = [client_from(&proxy, 1).await, client_from(&proxy, 1).await];
    proxy.events.accepted(2).await;
    proxy.shutdown.abort();
    proxy.join().await;
    assert_eq!(proxy.limits.snapshot().open_sources, 0);
}
