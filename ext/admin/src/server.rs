//! The HTTP server of the admin address. The server has a thread of its own: requests do not slow down the
//! proxy, and a busy proxy does not delay responses.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use proxymachine_engine::{Error, Listener, listener};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::history::PERIOD;
use crate::routes::respond;
use crate::shared::AdminShared;
use crate::snapshot::SnapshotSource;

/// Connections that may be open at once. Further connections wait in the listen backlog.
pub const MAX_CONNECTIONS: usize = 32;

/// Time limit for the head of a request.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for a whole connection, so that a slow client cannot hold one of the few connections.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that open connections get when the server stops. A request may come a round trip after its connection.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Size limit for the head of a request, in bytes.
const MAX_HEADER_SIZE: usize = 16 * 1024;

/// Pause after an accept that failed for lack of resources (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound admin address.
#[derive(Debug)]
pub struct Admin {
    listeners: Arc<[Listener]>,
}

impl Admin {
    /// Binds `host:port` or a Unix socket. Only `owner` may open the file of a Unix socket.
    ///
    /// # Errors
    /// Returns the errors of [`Listener::bind`].
    pub fn bind(address: &str, owner: (Option<u32>, Option<u32>)) -> Result<Self, Error> {
        Self::open(address, owner, &mut Vec::new())
    }

    /// Binds like [`Admin::bind`], but takes sockets that listen on the address already from `open`.
    ///
    /// # Errors
    /// Returns the errors of [`Listener::open`].
    pub fn open(
        address: &str,
        owner: (Option<u32>, Option<u32>),
        open: &mut Vec<Listener>,
    ) -> Result<Self, Error> {
        let options = listener::Options { mode: Some(0o600), owner, ..listener::Options::default() };
        Ok(Self { listeners: Listener::open(address, &options, open)?.into() })
    }

    /// Returns the listening sockets.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Returns the bound port; None for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.listeners.first().and_then(Listener::port)
    }

    /// Starts the server on a new thread.
    ///
    /// # Errors
    /// Returns an error if the thread or its epoll descriptor cannot be created.
    pub fn start(&self, source: Arc<dyn SnapshotSource>) -> io::Result<AdminServer> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let acceptors = {
            let _guard = runtime.enter();
            self.listeners.iter().map(Acceptor::new).collect::<io::Result<Vec<_>>>()?
        };
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("proxymachine adm".into())
            .spawn(move || run(runtime, acceptors, source, &stopped))?;
        Ok(AdminServer {
            stop,
            thread: Some(thread),
            owner: process::id(),
            _listeners: Arc::clone(&self.listeners),
        })
    }
}

/// A running server, which stops when it is dropped.
#[derive(Debug)]
pub struct AdminServer {
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<()>>,
    owner: u32,
    /// Keeps the file of a Unix socket while the server runs.
    _listeners: Arc<[Listener]>,
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        if self.owner != process::id() {
            // The thread does not exist in a forked child, and its locks stay as they were at the fork.
            mem::forget(self.thread.take());
            return;
        }
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // An error means that the thread panicked, so it has ended, too.
            let _ = thread.join();
        }
    }
}

fn run(runtime: Runtime, acceptors: Vec<Acceptor>, source: Arc<dyn SnapshotSource>, stop: &Notify) {
    let shared = Arc::new(AdminShared::new(source, MAX_CONNECTIONS));
    runtime.block_on(async {
        let accepting: Vec<_> = acceptors
            .into_iter()
            .map(|acceptor| tokio::spawn(accept_all(acceptor, Arc::clone(&shared))))
            .collect();
        tokio::spawn(sample(Arc::clone(&shared)));
        stop.notified().await;
        accepting.iter().for_each(JoinHandle::abort);
        // All permits are free when the open connections have their responses.
        let _ = timeout(SHUTDOWN_TIMEOUT, shared.permits.acquire_many(MAX_CONNECTIONS as u32)).await;
    });
}

/// Adds a sample to the history every second.
async fn sample(shared: Arc<AdminShared>) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.sample();
    }
}

/// A listening socket, registered with the runtime.
struct Acceptor {
    socket: Socket,
    /// Whether the socket is a TCP socket that only this machine can reach.
    is_loopback: bool,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Acceptor {
    fn new(listener: &Listener) -> io::Result<Self> {
        let socket = listener.as_fd().try_clone_to_owned()?;
        let socket = match listener.local_addr() {
            Some(_) => Socket::Tcp(TcpListener::from_std(socket.into())?),
            None => Socket::Unix(UnixListener::from_std(socket.into())?),
        };
        let is_loopback = listener.local_addr().is_some_and(|address| address.ip().is_loopback());
        Ok(Self { socket, is_loopback })
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => Box::new(listener.accept().await?.0),
            Socket::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

async fn accept_all(acceptor: Acceptor, shared: Arc<AdminShared>) {
    loop {
        let Ok(permit) = Arc::clone(&shared.permits).acquire_owned().await else { return };
        match acceptor.accept().await {
            Ok(stream) => {
                let (shared, is_loopback) = (Arc::clone(&shared), acceptor.is_loopback);
                tokio::spawn(async move {
                    serve(stream, is_loopback, &shared).await;
                    drop(permit);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one request. Connections are not kept alive, since an idle connection would hold a permit.
async fn serve(stream: Box<dyn Stream>, is_loopback: bool, shared: &AdminShared) {
    let service = service_fn(|request| {
        let response = respond(&request, is_loopback, shared);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(MAX_HEADER_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // hyper has sent the error response, if there is one to send.
    let _ = timeout(CONNECTION_TIMEOUT, connection).await;
}
