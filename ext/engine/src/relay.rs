//! Two connections become one: the two-way copy with half-close, backpressure and timeouts.
//!
//! While nothing moves, a relay owns no buffer: bytes are read into the thread's scratch buffer and
//! written on from there, and only what the other side did not take is kept, which also stops the
//! reading until it is taken. So memory is bounded by one chunk a direction whatever the peers do.
//! A flow that proves bulky is not copied at all but spliced (`relay/bulk.rs`).

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::account::{Code, Traffic};
use crate::clock::{Clock, Reason};
use crate::meters::{Count, Meters, Time};
use crate::scratch;
use crate::stream::{Read, Stream};

#[cfg(target_os = "linux")]
mod bulk;

/// How a relay ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server ended its side and the client has got all of it, or one side was reset, or the
    /// time without traffic was over after the server had answered.
    Finished,
    /// The server closed without having sent a byte.
    Unanswered,
    /// The server sent no first byte in time.
    Inactive {
        /// Since the relay began.
        elapsed: Duration,
        /// The limit that it exceeded.
        limit: Duration,
    },
    /// Nothing moved for so long that nobody seems to be there.
    Idle {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// The client was reset before the server had answered.
    Abandoned,
}

/// What a relay begins with.
#[derive(Debug, Default)]
pub struct Start {
    /// For the server, before anything that the client sends from now on.
    pub to_server: Bytes,
    /// For the client, before anything that the server sends.
    pub to_client: Bytes,
    /// How long neither a byte may come from the server nor one go to it.
    pub inactivity_timeout: Option<Duration>,
    /// The same once the client has ended its side.
    pub half_closed_timeout: Option<Duration>,
    /// How long nothing may move in either direction, whatever else holds.
    pub idle_timeout: Option<Duration>,
}

/// Copies both ways until it is over. The second value tells whether the client had ended its side.
///
/// The server's end is the end: what it sent is delivered first. The client's end is passed on, and
/// the server may still answer.
pub fn relay<'a, C: Stream, S: Stream>(
    client: &'a C,
    server: &'a S,
    start: Start,
    traffic: &'a mut Traffic,
    meters: &'a Meters,
) -> impl Future<Output = (Outcome, bool)> + use<'a, C, S> {
    let mut clock = start.inactivity_timeout.map(|limit| Clock::start(limit, Reason::Inactivity));
    Clock::shorten(&mut clock, start.idle_timeout, Reason::Idle);
    let mut relay = Relay {
        up: Flow::new(start.to_server),
        down: Flow::new(start.to_client),
        up_closed: false,
        answered: false,
        half_closed_timeout: start.half_closed_timeout,
        clock,
        reset: None,
        meters,
    };
    poll_fn(move |cx| {
        let before = (traffic.to_server, traffic.to_client);
        let polled = relay.poll(cx, client, server, traffic);
        let (up, down) = (traffic.to_server - before.0, traffic.to_client - before.1);
        if up > 0 {
            meters.add(Count::ToServer, up);
        }
        if down > 0 {
            meters.add(Count::ToClient, down);
        }
        polled.map(|outcome| {
            relay.up.leave(client);
            (outcome, relay.up.ended)
        })
    })
}

struct Relay<'a> {
    meters: &'a Meters,
    up: Flow,
    down: Flow,
    /// Nothing more can go to the server: the client's end was passed on, or it was reset.
    up_closed: bool,
    answered: bool,
    half_closed_timeout: Option<Duration>,
    clock: Option<Box<Clock>>,
    /// Watches for the client's reset while nobody reads from it, which would tell.
    reset: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
}

impl<'a> Relay<'a> {
    fn poll<C: Stream, S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        client: &'a C,
        server: &S,
        traffic: &mut Traffic,
    ) -> Poll<Outcome> {
        let mut moved = false;
        if !self.up_closed {
            let mut way = Way::new(client, server, &mut traffic.to_server, &mut moved);
            match self.up.poll(cx, &mut way) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    // Whether the server hears of it or not: what it says comes down the other way.
                    if server.shutdown().is_ok() {
                        Clock::shorten(&mut self.clock, self.half_closed_timeout, Reason::HalfClosed);
                    }
                    self.up_closed = true;
                }
                Poll::Ready(Err(Broken::Source)) => return Poll::Ready(self.client_reset(traffic)),
                // It may have answered before it closed.
                Poll::Ready(Err(Broken::Sink)) => self.up_closed = true,
            }
        }
        let mut way = Way::new(server, client, &mut traffic.to_client, &mut moved);
        let down = self.down.poll(cx, &mut way);
        if self.down.started && !self.answered {
            self.answered = true;
            if let Some(taken) = traffic.answered() {
                self.meters.took(Time::FirstByte, taken);
            }
        }
        match down {
            Poll::Ready(Err(Broken::Sink)) => return Poll::Ready(self.client_reset(traffic)),
            Poll::Ready(ended) if self.answered => {
                traffic.code = ended.is_err().then_some(Code::ServerData);
                return Poll::Ready(Outcome::Finished);
            }
            Poll::Ready(_) => return Poll::Ready(Outcome::Unanswered),
            Poll::Pending => {}
        }
        if self.poll_reset(cx, client).is_ready() {
            return Poll::Ready(self.client_reset(traffic));
        }
        self.poll_clock(cx, moved, traffic)
    }

    fn poll_reset<C: Stream>(&mut self, cx: &mut Context<'_>, client: &'a C) -> Poll<()> {
        if !self.up_closed && self.up.is_reading() {
            self.reset = None;
            return Poll::Pending;
        }
        self.reset.get_or_insert_with(|| Box::pin(client.reset())).as_mut().poll(cx)
    }

    fn client_reset(&self, traffic: &mut Traffic) -> Outcome {
        traffic.code = self.answered.then_some(Code::ClientData);
        if self.answered { Outcome::Finished } else { Outcome::Abandoned }
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>, moved: bool, traffic: &mut Traffic) -> Poll<Outcome> {
        let Some(clock) = &mut self.clock else { return Poll::Pending };
        ready!(clock.poll(cx, moved));
        self.meters.count(match clock.reason {
            Reason::Inactivity => Count::LimitInactivity,
            Reason::HalfClosed => Count::LimitHalfClosed,
            Reason::Idle => Count::LimitIdle,
        });
        traffic.code = match (clock.reason, self.answered) {
            (Reason::Idle, true) => Some(Code::IdleData),
            (Reason::Idle, false) => Some(Code::IdleWaiting),
            (_, true) => Some(Code::ServerSlowData),
            (_, false) => None,
        };
        Poll::Ready(match clock.reason {
            Reason::Idle => Outcome::Idle { limit: clock.limit },
            _ if self.answered => Outcome::Finished,
            _ => Outcome::Inactive { elapsed: clock.started.elapsed(), limit: clock.limit },
        })
    }
}

/// One direction.
struct Flow {
    /// Read, or given at the start, and not yet written.
    pending: Bytes,
    /// Bytes of late, halved at each turn that brings little.
    streak: u32,
    /// Since it has first proved bulky.
    #[cfg(target_os = "linux")]
    bulk: Option<Box<bulk::Bulk>>,
    /// Something was read.
    started: bool,
    /// The source has ended.
    ended: bool,
}

/// From where to where a flow goes, and what is counted on the way.
struct Way<'a, A, B> {
    source: &'a A,
    sink: &'a B,
    sent: &'a mut u64,
    moved: &'a mut bool,
    /// Bytes read in this turn.
    turn: u32,
}

impl<'a, A, B> Way<'a, A, B> {
    fn new(source: &'a A, sink: &'a B, sent: &'a mut u64, moved: &'a mut bool) -> Self {
        Self { source, sink, sent, moved, turn: 0 }
    }

    fn sent(&mut self, count: usize) {
        *self.sent += count as u64;
        *self.moved |= count > 0;
    }
}

/// Which side of a flow failed.
#[derive(Debug)]
enum Broken {
    Source,
    Sink,
}

/// Bytes in one go before other connections get their turn.
const TURN: u32 = 1024 * 1024;

/// A turn that brings less than this makes a flow less bulky.
const SMALL: u32 = 16 * 1024;

/// After so many bytes in large turns a flow is spliced.
const BULK: u32 = 512 * 1024;

impl Flow {
    fn new(pending: Bytes) -> Self {
        Self {
            pending,
            streak: 0,
            #[cfg(target_os = "linux")]
            bulk: None,
            started: false,
            ended: false,
        }
    }

    /// Ready when the source has ended and the sink has everything.
    fn poll<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        way: &mut Way<'_, A, B>,
    ) -> Poll<Result<(), Broken>> {
        let polled = self.poll_turn(cx, way);
        // Whoever was woken for something else has not paused, and a pause alone is not the end of bulk.
        self.streak = match way.turn {
            1..SMALL => self.streak / 2,
            turn => (self.streak + turn).min(4 * BULK),
        };
        polled
    }

    fn poll_turn<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        way: &mut Way<'_, A, B>,
    ) -> Poll<Result<(), Broken>> {
        while way.turn < TURN {
            while !self.pending.is_empty() {
                let written = way.sink.poll_write(cx, &self.pending, self.ended);
                let written = ready!(written).map_err(|_| Broken::Sink)?;
                self.pending.advance(written);
                way.sent(written);
            }
            self.pending = Bytes::new(); // An empty rest still holds the whole buffer.
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let read = match self.poll_splice(cx, way) {
                Some(spliced) => ready!(spliced)?,
                None => ready!(self.poll_copy(cx, way))?,
            };
            *way.moved = true;
            self.started |= read.count > 0;
            self.ended = read.is_last;
            way.turn += read.count as u32; // A read is no longer than a turn.
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read, and one write of what it brought.
    fn poll_copy<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        way: &mut Way<'_, A, B>,
    ) -> Poll<Result<Read, Broken>> {
        scratch::with(scratch::SIZE, |scratch| {
            let read = ready!(way.source.poll_read(cx, scratch)).map_err(|_| Broken::Source)?;
            let data = &scratch[..read.count];
            if data.is_empty() {
                return Poll::Ready(Ok(read));
            }
            let written = match way.sink.poll_write(cx, data, read.is_last) {
                Poll::Ready(written) => written.map_err(|_| Broken::Sink)?,
                Poll::Pending => 0,
            };
            way.sent(written);
            if written < data.len() {
                self.pending = Bytes::copy_from_slice(&data[written..]);
            }
            Poll::Ready(Ok(read))
        })
    }

    /// Whether the flow waits for its source, not for its sink.
    fn is_reading(&self) -> bool {
        #[cfg(target_os = "linux")]
        if self.bulk.as_ref().is_some_and(|bulk| bulk.is_filled()) {
            return false;
        }
        self.pending.is_empty()
    }

    #[cfg(not(target_os = "linux"))]
    fn poll_splice<A: Stream, B: Stream>(
        &mut self,
        _: &mut Context<'_>,
        _: &mut Way<'_, A, B>,
    ) -> Option<Poll<Result<Read, Broken>>> {
        None
    }

    #[cfg(not(target_os = "linux"))]
    fn leave<A: Stream>(&mut self, _: &A) {}
}
