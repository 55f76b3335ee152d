//! The admin server over HTTP, mostly with hostile clients.

mod sample;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxymachine_admin::server::MAX_CONNECTIONS;
use proxymachine_admin::{Admin, AdminServer, Snapshot, SnapshotSource, State};
use sample::{HOSTILE_NAME, Sample};

/// Far longer than any response takes, so that only a hang exceeds the timeout.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

fn start(source: impl SnapshotSource) -> (u16, AdminServer) {
    let admin = Admin::bind("127.0.0.1:0", (None, None)).unwrap();
    (admin.port().unwrap(), admin.start(Arc::new(source)).unwrap())
}

fn sample() -> Sample {
    Sample { state: State::Running, started: Instant::now() }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    stream
}

fn get(port: u16, path: &str) -> String {
    let mut stream = connect(port);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn silent_connections_do_not_block_the_server() {
    let (port, _server) = start(sample());
    let mut silent: Vec<_> = (0..2 * MAX_CONNECTIONS).map(|_| connect(port)).collect();
    assert!(get(port, "/healthz").ends_with("\r\n\r\nok\n"));
    // A silent connection is closed, with or without a 408.
    let mut response = String::new();
    silent[0].read_to_string(&mut response).unwrap();
    assert!(response.is_empty() || response.starts_with("HTTP/1.1 408 "), "{response}");
}

#[test]
fn connections_are_not_kept_alive() {
    let (port, _server) = start(sample());
    let mut stream = connect(port);
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 1);
    assert!(response.contains("connection: close\r\n"), "{response}");
}

#[test]
fn panic_of_a_source_costs_one_response() {
    struct Broken;
    impl SnapshotSource for Broken {
        fn snapshot(&self) -> Snapshot {
            panic!("no numbers today");
        }
        fn state(&self) -> State {
            State::Running
        }
    }
    let (port, _server) = start(Broken);
    assert_eq!(get(port, "/metrics"), "");
    assert!(get(port, "/readyz").ends_with("running\n"));
}

#[test]
fn hostile_name_breaks_neither_page_nor_json_nor_text_nor_metrics() {
    let (port, _server) = start(sample());
    let page = get(port, "/");
    assert!(!page.contains(HOSTILE_NAME.trim()));
    assert!(page.contains("&lt;/script&gt;&lt;b title=&#39;x&quot;&gt;\\&amp;"));

    let json = get(port, "/status.json");
    let status: serde_json::Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(status["listeners"][1]["name"], HOSTILE_NAME);

    let text = get(port, "/status.txt?width=40");
    assert!(text.contains("\n</script><b title='x\">\\&?"), "{text}");
    assert!(text.split_once("\r\n\r\n").unwrap().1.lines().all(|line| line.chars().count() <= 40), "{text}");

    let metrics = get(port, "/metrics");
    assert!(metrics.contains(r#"listener="</script><b title='x\">\\&\n""#));
}

#[test]
fn a_termination_code_links_to_its_recent_failures() {
    let (port, _server) = start(sample());
    let page = get(port, "/");
    assert!(page.contains("<a href=\"#failures-SC\"><code class=\"error\""), "{page}");
    assert_eq!(page.matches("id=\"failures-SC\"").count(), 1);
    assert!(page.contains("reports.example:8443 refused"), "{page}");
    assert!(page.contains("35 times in 5 min"), "{page}");
    assert!(page.contains("title=\"many &lt;reasons&gt;. Remedy: look.\""), "{page}");
    assert!(!page.contains("href=\"#failures---\""), "a code without failures has no link");
}

#[test]
fn readyz_returns_200_only_while_running() {
    for (state, code) in [(State::Running, "200"), (State::Starting, "503"), (State::Draining, "503")] {
        let (port, _server) = start(Sample { state, started: Instant::now() });
        let response = get(port, "/readyz");
        assert!(response.starts_with(&format!("HTTP/1.1 {code} ")), "{response}");
        assert!(response.ends_with(&format!("{}\n", state.name())), "{response}");
    }
}

#[test]
fn counters_that_are_not_kept_are_not_shown() {
    struct Bare;
    impl SnapshotSource for Bare {
        fn snapshot(&self) -> Snapshot {
            Snapshot::default()
        }
        fn state(&self) -> State {
            State::Running
        }
    }
    let (port, _server) = start(Bare);
    let page = get(port, "/");
    assert!(page.contains("id=\"now\"") && !page.contains("id=\"ends\""), "{page}");
    assert!(!get(port, "/metrics").contains("listener="));
}

#[test]
fn drop_stops_the_server() {
    let (port, server) = start(sample());
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}
