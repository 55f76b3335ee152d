//! One end of a connection plays its part, and checks every byte that it gets.

use crate::plan::{Act, Plan};
use crate::stream::Stream;
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Longer than this no connection takes, even on a machine that has much else to do.
const LIMIT: Duration = Duration::from_secs(60);

/// Read at once by an end that takes its time.
const SIP: usize = 32 * 1024;

/// Small enough for a few kilobytes to fill them.
const NARROW: usize = 16 * 1024;

/// How the other end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Bytes of the other's stream, all of them right.
    pub heard: u64,
    pub end: Option<End>,
    /// The first thing that did not go as planned.
    pub trouble: Option<String>,
    /// Whether that is a fault whatever was planned.
    pub fatal: bool,
    pub took: Duration,
}

impl Outcome {
    pub fn fault(trouble: String) -> Self {
        Self { trouble: Some(trouble), fatal: true, ..Self::default() }
    }
}

/// One end's part of a plan.
pub struct Part<'a> {
    acts: &'a [Act],
    /// Sent before anything else; one byte at a time if it drips.
    greeting: String,
    greeting_drips: bool,
    /// What must come before the other's stream.
    preface: String,
    /// Where the streams begin: ours and the other's.
    offsets: (u64, u64),
    /// The end of what comes is the end of everything: the rest needs no sending.
    ends_with_the_other: bool,
    /// Milliseconds between two reads.
    pace: u64,
}

impl<'a> Part<'a> {
    pub fn client(plan: &'a Plan) -> Self {
        let mut greeting = plan.head();
        greeting.truncate(plan.head_cut.unwrap_or(greeting.len()));
        Self {
            acts: &plan.client,
            greeting,
            greeting_drips: plan.head_drips,
            preface: plan.preface(),
            offsets: plan.offsets(),
            ends_with_the_other: true,
            pace: plan.pace.0,
        }
    }

    pub fn server(plan: &'a Plan) -> Self {
        let (up, down) = plan.offsets();
        Self {
            acts: &plan.server,
            greeting: String::new(),
            greeting_drips: false,
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

impl Part<'_> {
    /// Plays it, after `early` was read already, and closes the socket.
    pub async fn play(&self, socket: TcpStream, early: &[u8]) -> Outcome {
        let hearing = Hearing { part: self, heard: Cell::new(0), end: Cell::new(None), news: Notify::new() };
        let played = async {
            hearing.check(early)?;
            let mut heard = std::pin::pin!(hearing.hear(&socket));
            let acted = tokio::select! {
                acted = self.act(&socket, &hearing) => acted,
                failed = &mut heard => failed,
            };
            if acted.as_ref().is_err_and(|error| error.kind() != ErrorKind::InvalidData) {
                // Whoever cannot send any more can still read what had come before.
                tokio::select! {
                    failed = heard => failed?,
                    () = hearing.until_ended() => {}
                }
            }
            acted
        };
        let started = Instant::now();
        let (trouble, fatal) = match tokio::time::timeout(LIMIT, played).await {
            Ok(Ok(())) => (None, false),
            Ok(Err(error)) => (Some(error.to_string()), error.kind() == ErrorKind::InvalidData),
            Err(_) => (Some(format!("no end within {LIMIT:?}")), true),
        };
        let heard = hearing.heard.get().saturating_sub(self.preface.len() as u64);
        Outcome { heard, end: hearing.end.get(), trouble, fatal, took: started.elapsed() }
    }

    async fn act(&self, socket: &TcpStream, hearing: &Hearing<'_>) -> io::Result<()> {
        let pieces = if self.greeting_drips { 1 } else { self.greeting.len().max(1) };
        for piece in self.greeting.as_bytes().chunks(pieces) {
            write_all(socket, piece).await?;
            tokio::task::yield_now().await;
        }
        let mut said = 0;
        for act in self.acts {
            match *act {
                Act::Send(count) => self.send(socket, hearing, &mut said, count, u64::MAX).await?,
                Act::Drip(count) => self.send(socket, hearing, &mut said, count, 1).await?,
                Act::Hear(count) => hearing.until_heard(count + self.preface.len() as u64).await?,
                Act::HearEnd => hearing.until_ended().await,
                Act::Pause(millis) => sleep(Duration::from_millis(millis)).await,
                Act::End => SockRef::from(socket).shutdown(std::net::Shutdown::Write)?,
                Act::Reset => SockRef::from(socket).set_linger(Some(Duration::ZERO))?,
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        socket: &TcpStream,
        hearing: &Hearing<'_>,
        said: &mut u64,
        count: u64,
        at_once: u64,
    ) -> io::Result<()> {
        let end = *said + count;
        while *said < end && !(self.ends_with_the_other && hearing.end.get().is_some()) {
            socket.writable().await?;
            let wanted = (end - *said).min(at_once);
            match STREAM.with(|stream| socket.try_write(stream.at(self.offsets.0 + *said, wanted))) {
                Ok(written) => *said += written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if at_once == 1 {
                sleep(Duration::from_micros(*said % 7 * 50)).await;
            }
        }
        Ok(())
    }
}

/// What an end gets, checked as it comes.
struct Hearing<'a> {
    part: &'a Part<'a>,
    /// Bytes in all, the preface's among them.
    heard: Cell<u64>,
    end: Cell<Option<End>>,
    news: Notify,
}

impl Hearing<'_> {
    /// Reads to the end, and then stays: only wrong bytes make it return.
    async fn hear(&self, socket: &TcpStream) -> io::Result<()> {
        let size = if self.part.pace > 0 { SIP } else { usize::MAX };
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
            self.news.notify_waiters();
            if self.part.pace > 0 {
                sleep(Duration::from_millis(self.part.pace)).await;
            }
        };
        self.end.set(Some(end));
        self.news.notify_waiters();
        std::future::pending().await
    }

    fn check(&self, bytes: &[u8]) -> io::Result<()> {
        let heard = self.heard.get();
        let preface = self.part.preface.as_bytes();
        let preface = &preface[preface.len().min(heard as usize)..];
        let (own, streamed) = bytes.split_at(bytes.len().min(preface.len()));
        let place = (heard + own.len() as u64).saturating_sub(self.part.preface.len() as u64);
        let offset = self.part.offsets.1 + place;
        if !preface.starts_with(own) || !STREAM.with(|stream| stream.matches(offset, streamed)) {
            let what = format!("wrong bytes among the {} after the first {heard}", bytes.len());
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        self.heard.set(heard + bytes.len() as u64);
        Ok(())
    }

    async fn until_heard(&self, count: u64) -> io::Result<()> {
        loop {
            let news = self.news.notified();
            if self.heard.get() >= count {
                return Ok(());
            }
            if let Some(end) = self.end.get() {
                let what = format!("{end:?} after {} of {count} bytes", self.heard.get());
                return Err(io::Error::other(what));
            }
            news.await;
        }
    }

    async fn until_ended(&self) {
        loop {
            let news = self.news.notified();
            if self.end.get().is_some() {
                return;
            }
            news.await;
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

/// No delay, and small buffers if it is to be narrow.
pub fn prepare(socket: &impl std::os::fd::AsFd, narrow: bool) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    if narrow {
        socket.set_recv_buffer_size(NARROW)?;
        socket.set_send_buffer_size(NARROW)?;
    }
    Ok(())
}
