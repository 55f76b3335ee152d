//! An admin server in this process, and a client for it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxymachine_admin::{Admin, AdminServer, Snapshot, SnapshotSource, State};
use socket2::SockRef;

/// A server that shows the snapshot it was given last.
pub struct Shown {
    source: Arc<Source>,
    port: u16,
    _server: AdminServer,
}

#[derive(Default)]
struct Source(Mutex<Snapshot>);

impl SnapshotSource for Source {
    fn snapshot(&self) -> Snapshot {
        self.0.lock().unwrap().clone()
    }

    fn state(&self) -> State {
        self.0.lock().unwrap().state
    }
}

impl Shown {
    /// Starts the server on a free port of the loopback.
    pub fn start() -> Self {
        let source = Arc::new(Source::default());
        let admin = Admin::bind("127.0.0.1:0", (None, None)).unwrap();
        let server = admin.start(source.clone()).unwrap();
        Self { source, port: admin.port().unwrap(), _server: server }
    }

    /// Shows `snapshot` from now on.
    pub fn show(&self, snapshot: Snapshot) {
        *self.source.0.lock().unwrap() = snapshot;
    }

    /// Returns the response to `request`, which must have an end: a request without one is waited for.
    pub fn respond(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // Closed by a reset, the connection leaves no port in TIME_WAIT.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        let mut response = Vec::new();
        // The server may refuse a request, and reset the connection, before it has read all of it.
        let talked = stream.write_all(request).and_then(|()| stream.read_to_end(&mut response));
        if let Err(error) = talked {
            assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        }
        response
    }

    /// Returns the body of the response to a GET of `path`, which must be a success.
    pub fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let response = String::from_utf8(self.respond(request.as_bytes())).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {response:?}");
        body.into()
    }
}
