//! Upstreams with real sockets: the choice, the queue, health, checks, and clients that are held.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxymachine_engine::proxy_protocol::Version;
use proxymachine_engine::upstream::{Balance, Definition, Event as UpstreamEvent, Options, Upstreams};
use proxymachine_engine::{Config, End, Failure, Remote, Route, Target, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// Returns a registry with one upstream, called db, and the configuration of an engine that uses it.
fn upstream(servers: &[&Remote], options: Options) -> (Arc<Upstreams>, Config) {
    let upstreams = Arc::new(Upstreams::default());
    define(&upstreams, servers, options);
    let config = Config { upstreams: Arc::clone(&upstreams), ..config() };
    (upstreams, config)
}

fn define(upstreams: &Upstreams, servers: &[&Remote], options: Options) {
    let servers = servers.iter().map(|server| ((*server).clone(), 1)).collect();
    upstreams.define(vec![Definition { name: "db".into(), servers, options }]);
}

fn to(upstreams: &Upstreams) -> Route {
    Route::to(Target::Upstream(upstreams.get("db").unwrap()))
}

fn always(upstreams: &Arc<Upstreams>) -> impl proxymachine_engine::Router + use<> {
    let upstreams = Arc::clone(upstreams);
    deciding(move |_| Verdict::Connect(Box::new(to(&upstreams))))
}

fn options() -> Options {
    Options { balance: Balance::Ordered, ..Options::default() }
}

/// Returns for each server: whether it is up, its connections, and its failures.
fn states(upstreams: &Upstreams) -> Vec<(bool, u32, u64)> {
    let servers = &upstreams.status()[0].servers;
    servers.iter().map(|server| (server.is_up, server.connections, server.failures)).collect()
}

/// Waits until the first upstream's status fulfils `is_there`.
async fn until(upstreams: &Upstreams, what: &str, is_there: impl Fn(&Upstreams) -> bool) {
    within(what, async {
        while !is_there(upstreams) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn queue_is(upstreams: &Upstreams, length: usize) {
    until(upstreams, "the queue", |upstreams| upstreams.status()[0].queue == length).await;
}

async fn no_connection_is_left(upstreams: &Upstreams) {
    until(upstreams, "the counts to return to zero", |upstreams| {
        let status = &upstreams.status()[0];
        status.connections == 0 && status.queue == 0 && status.held == 0
    })
    .await;
}

#[tokio::test]
async fn a_connection_counts_until_its_end() {
    let backend = Backend::start();
    let (upstreams, config) = upstream(&[&backend.remote], options());
    let proxy = Proxy::with(config, always(&upstreams));
    let mut client = proxy.client_with("hello").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 5).await, b"hello");
    assert_eq!(states(&upstreams), [(true, 1, 0)]);
    client.shutdown().await.unwrap();
    answer(server, "bye").await;
    assert_eq!(read_to_end(&mut client).await, b"bye");
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_server_that_refuses_is_replaced_at_once_and_out_after_three_failures() {
    let backend = Backend::start();
    let (_socket, refusing) = Backend::refusing();
    let (upstreams, config) = upstream(&[&refusing, &backend.remote], options());
    let proxy = Proxy::with(Config { retry_delay: NEVER, ..config }, always(&upstreams));
    for number in 1..=4 {
        let mut client = proxy.client_with("x").await;
        let mut server = backend.accept().await;
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut server).await, b"x");
        answer(server, "y").await;
        assert_eq!(read_to_end(&mut client).await, b"y");
        assert_eq!(states(&upstreams)[0], (number < 3, 0, number.min(3)));
    }
    let changes = proxy.events.changes();
    assert_eq!(changes, [format!("db: {refusing} is down: refused (Connection refused)")]);
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_close_without_a_byte_is_a_failure_of_the_server() {
    let backend = Backend::start();
    let (upstreams, config) = upstream(&[&backend.remote], options());
    let (router, mut questions) = asking();
    let proxy = Proxy::with(config, router);
    for number in 1..=3 {
        let mut client = proxy.client_with("x").await;
        questions.next().await.answer(Verdict::Connect(Box::new(to(&upstreams))));
        let mut server = backend.accept().await;
        assert_eq!(read(&mut server, 1).await, b"x");
        drop(server);
        let question = questions.next().await;
        assert_eq!(question.kind, Kind::Failed(Failure::Premature, backend.remote.to_string()));
        question.answer(Verdict::Close(None));
        is_over(&mut client).await;
        drop(client);
        until(&upstreams, "the failure", |upstreams| states(upstreams)[0].2 == number).await;
    }
    until(&upstreams, "the server to be down", |upstreams| !states(upstreams)[0].0).await;
    let changes = proxy.events.changes();
    assert_eq!(changes, [format!("db: {} is down: closed", backend.remote), "db: none is up".into()]);
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_upstream_without_servers_fails_as_a_whole() {
    let (upstreams, config) = upstream(&[], options());
    let (router, mut questions) = asking();
    let proxy = Proxy::with(config, router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::Connect(Box::new(to(&upstreams))));
    let question = questions.next().await;
    assert_eq!(question.kind, Kind::Failed(Failure::Connect, "db".into()));
    question.answer(Verdict::Close(Some("sorry".into())));
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    assert_eq!(proxy.events.connection_record().await.0, "SC");
    proxy.finish().await;
}

#[tokio::test]
async fn clients_wait_in_turn_for_a_server_with_room() {
    let backend = Backend::start();
    let options = Options { max_connections: Some(1), queue_timeout: NEVER, max_queue: 2, ..options() };
    let (upstreams, config) = upstream(&[&backend.remote], options);
    let proxy = Proxy::with(config, always(&upstreams));
    let mut clients = vec![proxy.client_with("0").await];
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 1).await, b"0");
    for number in 1..=2_usize {
        clients.push(proxy.client_with(number.to_string()).await);
        queue_is(&upstreams, number).await;
    }
    // One more is too many.
    let mut client = proxy.client_with("3").await;
    is_over(&mut client).await;
    drop(client);
    let end = proxy.events.end().await;
    assert!(matches!(&*end, End::UpstreamFull { upstream } if &**upstream == "db"), "{end:?}");
    assert_eq!(proxy.events.connection_record().await.0, "sQ");
    for number in 1..=2_usize {
        answer(server, "done").await;
        assert_eq!(read_to_end(&mut clients.remove(0)).await, b"done");
        server = backend.accept().await;
        assert_eq!(read(&mut server, 1).await, number.to_string().as_bytes(), "first come, first served");
        queue_is(&upstreams, 2 - number).await;
    }
    answer(server, "done").await;
    assert_eq!(read_to_end(&mut clients.remove(0)).await, b"done");
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_not_served() {
    let backend = Backend::start();
    let options = Options { max_connections: Some(1), queue_timeout: NEVER, ..options() };
    let (upstreams, config) = upstream(&[&backend.remote], options);
    let (router, mut questions) = asked_early();
    let proxy = Proxy::with(config, router);
    // The first has the server; the second is reset; the third ends its side without having sent anything.
    let mut clients = vec![proxy.client().await];
    questions.next().await.answer(Verdict::Connect(Box::new(to(&upstreams))));
    let server = backend.accept().await;
    for number in 1..3_usize {
        clients.push(proxy.client().await);
        questions.next().await.answer(Verdict::Connect(Box::new(to(&upstreams))));
        queue_is(&upstreams, number).await;
    }
    clients[2].shutdown().await.unwrap();
    queue_is(&upstreams, 1).await;
    reset(clients.remove(1));
    queue_is(&upstreams, 0).await;
    answer(server, "done").await;
    assert_eq!(read_to_end(&mut clients[0]).await, b"done");
    drop(clients);
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}

/// Lets each server answer its client, and ends the proxy.
async fn end_both(connections: [(TcpStream, TcpStream); 2], upstreams: &Upstreams, proxy: Proxy) {
    for (server, mut client) in connections {
        answer(server, "done").await;
        assert_eq!(read_to_end(&mut client).await, b"done");
    }
    no_connection_is_left(upstreams).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_whose_wait_is_over_goes_on_to_the_next_of_its_list() {
    let (busy, other) = (Backend::start(), Backend::start());
    let wait = Duration::from_millis(50);
    let options = Options { max_connections: Some(1), queue_timeout: wait, ..options() };
    let (upstreams, config) = upstream(&[&busy.remote], options);
    let next = other.remote.clone();
    let router = {
        let upstreams = Arc::clone(&upstreams);
        deciding(move |_| {
            Verdict::Connect(Box::new(Route { others: vec![next.clone().into()], ..to(&upstreams) }))
        })
    };
    let proxy = Proxy::with(config, router);
    let first = proxy.client_with("1").await;
    let server = busy.accept().await;
    let second = proxy.client_with("2").await;
    let mut next = other.accept().await;
    assert_eq!(read(&mut next, 1).await, b"2");
    end_both([(server, first), (next, second)], &upstreams, proxy).await;
}

#[tokio::test]
async fn the_upstreams_options_count_unless_the_route_has_its_own() {
    let backend = Backend::start();
    let options = Options { proxy_protocol: Some(Version::One), ..options() };
    let (upstreams, config) = upstream(&[&backend.remote], options);
    let router = {
        let upstreams = Arc::clone(&upstreams);
        deciding(move |data| {
            let own = (data == b"2").then_some(Version::Two);
            Verdict::Connect(Box::new(Route { proxy_protocol: own, ..to(&upstreams) }))
        })
    };
    let proxy = Proxy::with(config, router);
    for (data, begin) in [("1", &b"PROXY TCP4"[..]), ("2", b"\r\n\r\n\0\r\nQUI")] {
        let mut client = proxy.client_with(data).await;
        let mut server = backend.accept().await;
        client.shutdown().await.unwrap();
        let received = read_to_end(&mut server).await;
        assert!(received.starts_with(begin) && received.ends_with(data.as_bytes()), "{received:?}");
        answer(server, "y").await;
        assert_eq!(read_to_end(&mut client).await, b"y");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn checks_find_servers_down_and_up_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let remote = Remote::from(address);
    let check = Some(Duration::from_millis(10));
    let (upstreams, config) = upstream(&[&remote], Options { check, ..options() });
    let proxy = Proxy::with(config, always(&upstreams));
    until(&upstreams, "a check", |upstreams| upstreams.status()[0].servers[0].check == Some(true)).await;
    drop(listener);
    until(&upstreams, "the server to be down", |upstreams| !states(upstreams)[0].0).await;
    let listener = TcpListener::bind(address).await.unwrap();
    until(&upstreams, "the server to be up", |upstreams| states(upstreams)[0].0).await;
    let expected = [
        format!("db: {remote} is down: refused (Connection refused)"),
        "db: none is up".into(),
        format!("db: {remote} is up"),
    ];
    assert_eq!(proxy.events.changes(), expected);
    drop(listener);
    proxy.finish().await;
}

#[tokio::test]
async fn sessions_of_a_server_that_a_check_found_down_are_ended_if_the_upstream_says_so() {
    for closes_on_down in [true, false] {
        let backend = Backend::start();
        let (upstreams, config) = upstream(&[&backend.remote], Options { closes_on_down, ..options() });
        let proxy = Proxy::with(config, always(&upstreams));
        let mut client = proxy.client_with("x").await;
        let mut server = backend.accept().await;
        assert_eq!(read(&mut server, 1).await, b"x");
        write(&mut server, "y").await;
        assert_eq!(read(&mut client, 1).await, b"y");
        upstreams.set_check("db", backend.remote.as_str(), false, None, "no primary");
        if closes_on_down {
            is_over(&mut client).await;
            assert_eq!(proxy.events.connection_record().await.0, "DD");
        } else {
            write(&mut server, "z").await;
            assert_eq!(read(&mut client, 1).await, b"z");
        }
        drop((client, server));
        no_connection_is_left(&upstreams).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_server_that_leaves_the_list_keeps_its_sessions() {
    let (old, new) = (Backend::start(), Backend::start());
    let (upstreams, config) = upstream(&[&old.remote], options());
    let proxy = Proxy::with(config, always(&upstreams));
    let first = proxy.client_with("1").await;
    let mut server = old.accept().await;
    assert_eq!(read(&mut server, 1).await, b"1");
    assert!(upstreams.set_servers("db", vec![(new.remote.clone(), 1)]));
    let second = proxy.client_with("2").await;
    let next = new.accept().await;
    assert_eq!(upstreams.status()[0].connections, 2);
    end_both([(server, first), (next, second)], &upstreams, proxy).await;
}

#[tokio::test]
async fn an_upstream_that_is_declared_again_goes_on_counting() {
    let backend = Backend::start();
    let options = Options { max_connections: Some(1), ..options() };
    let (upstreams, config) = upstream(&[&backend.remote], options.clone());
    let router = {
        let upstreams = Arc::clone(&upstreams);
        deciding(move |_| match upstreams.get("db") {
            Some(upstream) => Verdict::Connect(Box::new(Route::to(upstream.into()))),
            None => Verdict::Close(None),
        })
    };
    let proxy = Proxy::with(config, router);
    let mut client = proxy.client_with("1").await;
    let server = backend.accept().await;
    upstreams.define(Vec::new());
    is_over(&mut proxy.client_with("2").await).await;
    define(&upstreams, &[&backend.remote], options);
    assert_eq!(states(&upstreams), [(true, 1, 0)]);
    let mut refused = proxy.client_with("3").await;
    is_over(&mut refused).await;
    answer(server, "done").await;
    assert_eq!(read_to_end(&mut client).await, b"done");
    drop((client, refused));
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}

#[tokio::test]
async fn clients_are_held_until_a_server_answers() {
    let (socket, remote) = Backend::refusing();
    let hold = Some(NEVER);
    let (upstreams, config) = upstream(&[&remote], Options { hold, can_start: true, ..options() });
    let proxy = Proxy::with(config, always(&upstreams));
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(proxy.client_with("x").await);
    }
    until(&upstreams, "all clients to be held", |upstreams| upstreams.status()[0].held == 20).await;
    let (events, _) = upstreams.events();
    assert_eq!(events, [UpstreamEvent::Start { upstream: "db".into() }], "one start, however many come");
    assert!(upstreams.events().0.is_empty());
    socket.listen(128).unwrap();
    socket.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(socket.into()).unwrap();
    let served = Arc::new(Mutex::new(0));
    let serve = tokio::spawn(serve(listener, Arc::clone(&served)));
    for client in &mut clients {
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(client).await, b"hello");
    }
    upstreams.started("db", true, Duration::ZERO);
    assert_eq!(*served.lock().unwrap(), 20);
    assert_eq!(upstreams.status()[0].phase, "running");
    no_connection_is_left(&upstreams).await;
    serve.abort();
    proxy.finish().await;
}

/// Answers each connection that sends something, and counts it.
async fn serve(listener: TcpListener, served: Arc<Mutex<u32>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            let mut byte = [0];
            if tokio::io::AsyncReadExt::read(&mut stream, &mut byte).await.is_ok_and(|count| count == 1) {
                *served.lock().unwrap() += 1;
                answer(stream, "hello").await;
            }
        });
    }
}

#[tokio::test]
async fn only_a_client_that_has_sent_something_starts_a_server() {
    let (_socket, remote) = Backend::refusing();
    let (upstreams, config) =
        upstream(&[&remote], Options { hold: Some(NEVER), can_start: true, ..options() });
    let (router, mut questions) = asked_early();
    let proxy = Proxy::with(config, router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::Connect(Box::new(to(&upstreams))));
    until(&upstreams, "the client to be held", |upstreams| upstreams.status()[0].held == 1).await;
    assert!(upstreams.events().0.is_empty(), "it has sent nothing");
    write(&mut client, "x").await;
    until(&upstreams, "a start", |upstreams| !upstreams.events().0.is_empty()).await;
    upstreams.started("db", false, Duration::ZERO);
    let question = questions.next().await;
    assert_eq!(
        question.kind,
        Kind::Failed(Failure::Connect, "db".into()),
        "a start that failed ends the hold"
    );
    question.answer(Verdict::Close(Some("closed today".into())));
    assert_eq!(read_to_end(&mut client).await, b"closed today");
    drop(client);
    no_connection_is_left(&upstreams).await;

    // A scan that leaves without having sent anything is forgotten.
    let client = proxy.client().await;
    questions.next().await.answer(Verdict::Connect(Box::new(to(&upstreams))));
    until(&upstreams, "the client to be held", |upstreams| upstreams.status()[0].held == 1).await;
    drop(client);
    until(&upstreams, "the client to be gone", |upstreams| upstreams.status()[0].held == 0).await;
    assert!(upstreams.events().0.is_empty());
    proxy.shutdown.abort();
}

#[tokio::test]
async fn idle_servers_are_stopped_and_who_comes_meanwhile_is_held() {
    let backend = Backend::start();
    let hold = Some(NEVER);
    let idle = Some(Duration::ZERO);
    let options = Options { hold, idle, can_start: true, can_stop: true, ..options() };
    let (upstreams, config) = upstream(&[&backend.remote], options);
    let proxy = Proxy::with(config, always(&upstreams));
    assert!(upstreams.events().0.is_empty(), "a server that was neither started nor reached is not stopped");
    let mut client = proxy.client_with("x").await;
    let server = backend.accept().await;
    assert!(upstreams.events().0.is_empty(), "a client is there");
    answer(server, "done").await;
    assert_eq!(read_to_end(&mut client).await, b"done");
    drop(client);
    let stop = UpstreamEvent::Stop { upstream: "db".into() };
    until(&upstreams, "a stop", |upstreams| upstreams.events().0 == [stop.clone()]).await;
    let mut client = proxy.client_with("x").await;
    until(&upstreams, "the client to be held", |upstreams| upstreams.status()[0].held == 1).await;
    assert!(upstreams.events().0.is_empty(), "the start follows the stop");
    upstreams.stopped("db", Some(true));
    let start = UpstreamEvent::Start { upstream: "db".into() };
    assert_eq!(upstreams.events().0, [start]);
    upstreams.started("db", true, Duration::ZERO);
    // The attempts to reach the server come and go.
    let server = within("the held client", async {
        loop {
            let mut server: TcpStream = backend.accept().await;
            let mut byte = [0];
            if tokio::io::AsyncReadExt::read(&mut server, &mut byte).await.is_ok_and(|count| count == 1) {
                return server;
            }
        }
    })
    .await;
    answer(server, "hello").await;
    assert_eq!(read_to_end(&mut client).await, b"hello");
    drop(client);
    proxy.shutdown.abort();
}

#[tokio::test]
async fn a_hold_ends_in_time() {
    let (_socket, remote) = Backend::refusing();
    let hold = Some(Duration::from_millis(50));
    let (upstreams, config) = upstream(&[&remote], Options { hold, ..options() });
    let proxy = Proxy::with(Config { retry_delay: NEVER, ..config }, always(&upstreams));
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    drop(client);
    assert_eq!(proxy.events.connection_record().await.0, "SC");
    no_connection_is_left(&upstreams).await;
    proxy.finish().await;
}
