//! The HTTP server: a thread of its own, so that whoever asks disturbs nobody, and whoever is busy does not
//! keep it from answering.

use std::convert::Infallible;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use proxymachine_engine::{Error, Listener, listener};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::answer::answer;
use crate::history::{History, PERIOD};
use crate::snapshot::Source;
use crate::status::Status;

/// Connections at once; further ones wait in the system's queue.
pub const MAX_CONNECTIONS: usize = 32;

/// How long the head of a request may take to come.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request may take in all. Nobody holds one of the connections for longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long open connections have when all ends.
const FAREWELL: Duration = Duration::from_millis(200);

/// Bytes of the head of a request.
const MAX_HEAD: usize = 16 * 1024;

/// Pause after an accept that failed for want of something (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address that is bound.
#[derive(Debug)]
pub struct Admin {
    listeners: Arc<[Listener]>,
}

impl Admin {
    /// Binds `host:port`, or a Unix socket, whose file is for `owner` alone.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn bind(address: &str, owner: (Option<u32>, Option<u32>)) -> Result<Self, Error> {
        Self::open(address, owner, &mut Vec::new())
    }

    /// The same, but takes sockets from `open` where those listen there already.
    ///
    /// # Errors
    /// As [`Listener::open`].
    pub fn open(
        address: &str,
        owner: (Option<u32>, Option<u32>),
        open: &mut Vec<Listener>,
    ) -> Result<Self, Error> {
        let options = listener::Options { mode: Some(0o600), owner, ..listener::Options::default() };
        Ok(Self { listeners: Listener::open(address, &options, open)?.into() })
    }

    /// What it is bound to.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The port that was bound; None for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.listeners.first().and_then(Listener::port)
    }

    /// Answers from now on, on a thread that is started here.
    ///
    /// # Errors
    /// The system gives no thread or no epoll descriptor.
    pub fn start(&self, source: Arc<dyn Source>) -> io::Result<Running> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let acceptors = {
            let _inside = runtime.enter();
            self.listeners.iter().map(Acceptor::new).collect::<io::Result<Vec<_>>>()?
        };
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("proxymachine adm".into())
            .spawn(move || run(runtime, acceptors, source, &stopped))?;
        Ok(Running {
            stop,
            thread: Some(thread),
            owner: process::id(),
            _listeners: Arc::clone(&self.listeners),
        })
    }
}

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Running {
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<()>>,
    owner: u32,
    /// The file of a Unix socket is there for as long as somebody answers.
    _listeners: Arc<[Listener]>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.owner != process::id() {
            // A forked child has no such thread, and whatever that one held at the fork stays so.
            mem::forget(self.thread.take());
            return;
        }
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has ended, too.
            let _ = thread.join();
        }
    }
}

/// What all connections of the admin share.
pub(crate) struct Context {
    pub(crate) source: Arc<dyn Source>,
    history: Mutex<History>,
    room: Arc<Semaphore>,
}

impl Context {
    /// Adds to the history.
    fn remember(&self) {
        let counted = self.source.counted_here();
        self.lock().add(&counted, Instant::now());
    }

    /// The numbers of now, and of lately.
    pub(crate) fn status(&self) -> Status {
        Status::new(self.source.snapshot(), &self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(runtime: Runtime, acceptors: Vec<Acceptor>, source: Arc<dyn Source>, stop: &Notify) {
    let context = Arc::new(Context {
        source,
        history: Mutex::default(),
        room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    });
    runtime.block_on(async {
        let accepting: Vec<_> = acceptors
            .into_iter()
            .map(|acceptor| tokio::spawn(accept_all(acceptor, Arc::clone(&context))))
            .collect();
        tokio::spawn(remember(Arc::clone(&context)));
        stop.notified().await;
        accepting.iter().for_each(JoinHandle::abort);
        // Whoever has asked gets the answer.
        let _ = timeout(FAREWELL, context.room.acquire_many(MAX_CONNECTIONS as u32)).await;
    });
}

/// Adds to the history, each second.
async fn remember(context: Arc<Context>) {
    let mut seconds = interval(PERIOD);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        context.remember();
    }
}

/// A listening socket.
struct Acceptor {
    socket: Socket,
    /// Only this machine can ask here, over TCP.
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

async fn accept_all(acceptor: Acceptor, context: Arc<Context>) {
    loop {
        let Ok(room) = Arc::clone(&context.room).acquire_owned().await else { return };
        match acceptor.accept().await {
            Ok(stream) => {
                let (context, is_loopback) = (Arc::clone(&context), acceptor.is_loopback);
                tokio::spawn(async move {
                    serve(stream, is_loopback, &context).await;
                    drop(room);
                });
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One request, one answer: a connection that is kept would only hold a place.
async fn serve(stream: Box<dyn Stream>, is_loopback: bool, context: &Context) {
    let service = service_fn(|request| {
        let response = answer(&request, is_loopback, context);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever asks badly or leaves early gets what HTTP has for it, and there is nothing else to do.
    let _ = timeout(TIMEOUT, connection).await;
}
