//! Runs one end of a planned connection, and checks every received byte.

use crate::plan::{Action, Plan};
use crate::stream::Stream;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// The time limit of a connection, long enough for a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// The read size of a slow reader.
const SLOW_READ: usize = 32 * 1024;

/// The size of small socket buffers.
const SMALL_BUFFER: usize = 16 * 1024;

/// How the other end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}

/// The outcome of one end.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Received bytes of the other end's stream, all correct.
    pub received: u64,
    pub end: Option<End>,
    /// The first deviation from the plan.
    pub error_text: Option<String>,
    /// Whether the deviation is a fault in every plan.
    pub fatal: bool,
    pub took: Duration,
}

impl Outcome {
    pub fn fault(error_text: String) -> Self {
        Self { error_text: Some(error_text), fatal: true, ..Self::default() }
    }
}

/// One end of a plan.
pub struct Script<'a> {
    actions: &'a [Action],
    /// Sent first.
    greeting: String,
    greeting_byte_by_byte: bool,
    /// The text expected before the other end's stream.
    preface: String,
    /// The offsets of the own and the other stream.
    offsets: (u64, u64),
    /// Stops sending when the other end closes.
    ends_with_the_other: bool,
    /// The pause between two reads in milliseconds.
    pace: u64,
}

impl<'a> Script<'a> {
    pub fn client(plan: &'a Plan) -> Self {
        let mut greeting = plan.head();
        greeting.truncate(plan.head_cut.unwrap_or(greeting.len()));
        Self {
            actions: &plan.client,
            greeting,
            greeting_byte_by_byte: plan.head_byte_by_byte,
            preface: plan.preface(),
            offsets: plan.offsets(),
            ends_with_the_other: true,
            pace: plan.pace.0,
        }
    }

    pub fn server(plan: &'a Plan) -> Self {
        let (up, down) = plan.offsets();
        Self {
            actions: &plan.server,
            greeting: String::new(),
            greeting_byte_by_byte: false,
            preface: String::new(),
            offsets: (down, up),
            ends_with_the_other: false,
            pace: plan.pace.1,
        }
    }
}

thread_local! {
    static STREAM: Stream = Stream::new();
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 256 * 1024].into_boxed_slice());
}

impl Script<'_> {
    /// Runs the script and closes the socket. `early` is data that has been read already.
    pub async fn run(&self, socket: TcpStream, early: &[u8]) -> Outcome {
        let receiver =
            Receiver { part: self, received: Cell::new(0), end: Cell::new(None), changed: Notify::new() };
        let run = async {
            receiver.check(early)?;
            let mut received = std::pin::pin!(receiver.receive(&socket));
            let performed = tokio::select! {
                performed = self.action(&socket, &receiver) => performed,
                failed = &mut received => failed,
            };
            if performed.as_ref().is_err_and(|error| error.kind() != ErrorKind::InvalidData) {
                // After a failed send, earlier data can still be read.
                tokio::select! {
                    failed = received => failed?,
                    () = receiver.until_ended() => {}
                }
            }
            performed
        };
        let started = Instant::now();
        let (error_text, fatal) = match tokio::time::timeout(LIMIT, run).await {
            Ok(Ok(())) => (None, false),
            Ok(Err(error)) => (Some(error.to_string()), error.kind() == ErrorKind::InvalidData),
            Err(_) => (Some(format!("no end within {LIMIT:?}")), true),
        };
        let received = receiver.received.get().saturating_sub(self.preface.len() as u64);
        Outcome { received, end: receiver.end.get(), error_text, fatal, took: started.elapsed() }
    }

    async fn action(&self, socket: &TcpStream, receiver: &Receiver<'_>) -> io::Result<()> {
        let pieces = if self.greeting_byte_by_byte { 1 } else { self.greeting.len().max(1) };
        for piece in self.greeting.as_bytes().chunks(pieces) {
            write_all(socket, piece).await?;
            tokio::task::yield_now().await;
        }
        let mut said = 0;
        for action in self.actions {
            match *action {
                Action::Send(count) => self.send(socket, receiver, &mut said, count, u64::MAX).await?,
                Action::Drip(count) => self.send(socket, receiver, &mut said, count, 1).await?,
                Action::Receive(count) => receiver.until_received(count + self.preface.len() as u64).await?,
                Action::ReceiveEnd => receiver.until_ended().await,
                Action::Pause(millis) => sleep(Duration::from_millis(millis)).await,
                Action::End => SockRef::from(socket).shutdown(std::net::Shutdown::Write)?,
                Action::Reset => SockRef::from(socket).set_linger(Some(Duration::ZERO))?,
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        socket: &TcpStream,
        receiver: &Receiver<'_>,
        said: &mut u64,
        count: u64,
        concurrency: u64,
    ) -> io::Result<()> {
        let end = *said + count;
        while *said < end && !(self.ends_with_the_other && receiver.end.get().is_some()) {
            socket.writable().await?;
            let selected = (end - *said).min(concurrency);
            match STREAM.with(|stream| socket.try_write(stream.at(self.offsets.0 + *said, selected))) {
                Ok(written) => *said += written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if concurrency == 1 {
                sleep(Duration::from_micros(*said % 7 * 50)).await;
            }
        }
        Ok(())
    }
}

/// Reads and checks the data of an end.
struct Receiver<'a> {
    part: &'a Script<'a>,
    /// The number of bytes, including the preface.
    received: Cell<u64>,
    end: Cell<Option<End>>,
    changed: Notify,
}

impl Receiver<'_> {
    /// Reads to the end. Returns only for wrong bytes.
    async fn receive(&self, socket: &TcpStream) -> io::Result<()> {
        let size = if self.part.pace > 0 { SLOW_READ } else { usize::MAX };
        let end = loop {
            if socket.readable().await.is_err() {
                break End::Reset;
            }
            let read: io::Result<usize> = SCRATCH.with_borrow_mut(|scratch| {
                let room = scratch.len().min(size);
                let count = socket.try_read(&mut scratch[..room])?;
                self.check(&scratch[..count])?;
                Ok(count)
            });
            match read {
                Ok(0) => break End::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) if error.kind() == ErrorKind::InvalidData => return Err(error),
                Err(_) => break End::Reset,
            }
            self.changed.notify_waiters();
            if self.part.pace > 0 {
                sleep(Duration::from_millis(self.part.pace)).await;
            }
        };
        self.end.set(Some(end));
        self.changed.notify_waiters();
        std::future::pending().await
    }

    fn check(&self, bytes: &[u8]) -> io::Result<()> {
        let received = self.received.get();
        let preface = self.part.preface.as_bytes();
        let preface = &preface[preface.len().min(received as usize)..];
        let (own, streamed) = bytes.split_at(bytes.len().min(preface.len()));
        let place = (received + own.len() as u64).saturating_sub(self.part.preface.len() as u64);
        let offset = self.part.offsets.1 + place;
        if !preface.starts_with(own) || !STREAM.with(|stream| stream.matches(offset, streamed)) {
            let what = format!("wrong bytes among the {} after the first {received}", bytes.len());
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        self.received.set(received + bytes.len() as u64);
        Ok(())
    }

    async fn until_received(&self, count: u64) -> io::Result<()> {
        loop {
            let changed = self.changed.notified();
            if self.received.get() >= count {
                return Ok(());
            }
            if let Some(end) = self.end.get() {
                let what = format!("{end:?} after {} of {count} bytes", self.received.get());
                return Err(io::Error::other(what));
            }
            changed.await;
        }
    }

    async fn until_ended(&self) {
        loop {
            let changed = self.changed.notified();
            if self.end.get().is_some() {
                return;
            }
            changed.await;
        }
    }
}

async fn write_all(socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sets `TCP_NODELAY`, and small buffers if wanted.
pub fn prepare(socket: &impl std::os::fd::AsFd, small_buffers: bool) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    if small_buffers {
        socket.set_recv_buffer_size(SMALL_BUFFER)?;
        socket.set_send_buffer_size(SMALL_BUFFER)?;
    }
    Ok(())
}
