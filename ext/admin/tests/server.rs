//! The server as clients meet it, above all those who mean no good.

mod sample;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxymachine_admin::server::MAX_CONNECTIONS;
use proxymachine_admin::{Admin, Running, Snapshot, Source, State};
use sample::{NASTY, Sample};

/// Far beyond what anything here takes, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);

fn start(source: impl Source) -> (u16, Running) {
    let admin = Admin::bind("127.0.0.1:0", (None, None)).unwrap();
    (admin.port().unwrap(), admin.start(Arc::new(source)).unwrap())
}

fn sample() -> Sample {
    Sample { state: State::Running, started: Instant::now() }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn get(port: u16, path: &str) -> String {
    let mut stream = connect(port);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn those_who_hold_connections_do_not_hold_them_for_long() {
    let (port, _running) = start(sample());
    let mut silent: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| connect(port)).collect();
    assert!(get(port, "/healthz").ends_with("\r\n\r\nok\n"));
    // Whoever says nothing is told nothing, or that it took too long.
    let mut answer = String::new();
    silent[0].read_to_string(&mut answer).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_connection_has_one_request() {
    let (port, _running) = start(sample());
    let mut stream = connect(port);
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1);
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[test]
fn a_source_that_panics_costs_one_answer() {
    struct Broken;
    impl Source for Broken {
        fn snapshot(&self) -> Snapshot {
            panic!("no numbers today");
        }
        fn state(&self) -> State {
            State::Running
        }
    }
    let (port, _running) = start(Broken);
    assert_eq!(get(port, "/metrics"), "");
    assert!(get(port, "/readyz").ends_with("running\n"));
}

#[test]
fn a_name_from_the_config_breaks_neither_page_nor_json_nor_metrics() {
    let (port, _running) = start(sample());
    let page = get(port, "/");
    assert!(!page.contains(NASTY.trim()));
    assert!(page.contains("&lt;/script&gt;&lt;b title=&#39;x&quot;&gt;\\&amp;"));

    let json = get(port, "/status.json");
    let status: serde_json::Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(status["listeners"][1]["name"], NASTY);

    let metrics = get(port, "/metrics");
    assert!(metrics.contains(r#"listener="</script><b title='x\">\\&\n""#));
}

#[test]
fn only_who_runs_is_ready() {
    for (state, code) in [(State::Running, "200"), (State::Starting, "503"), (State::Draining, "503")] {
        let (port, _running) = start(Sample { state, started: Instant::now() });
        let answer = get(port, "/readyz");
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
        assert!(answer.ends_with(&format!("{}\n", state.name())), "{answer}");
    }
}

#[test]
fn what_is_not_counted_is_not_shown() {
    struct Bare;
    impl Source for Bare {
        fn snapshot(&self) -> Snapshot {
            Snapshot::default()
        }
        fn state(&self) -> State {
            State::Running
        }
    }
    let (port, _running) = start(Bare);
    let page = get(port, "/");
    assert!(page.contains("id=\"now\"") && !page.contains("id=\"ends\""), "{page}");
    assert!(!get(port, "/metrics").contains("listener="));
}

#[test]
fn dropping_it_ends_it() {
    let (port, running) = start(sample());
    drop(running);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
