//! The relay: two connections become one, with half-close, backpressure and timeouts.
//!
//! While nothing moves, a relay owns no buffer. Bytes are read into the thread's scratch buffer and written from
//! there. Only bytes that the other side did not take are kept, and nothing more is read until they are taken. So
//! memory is bounded by one chunk for each direction. A flow that streams is spliced and not copied
//! (`relay/splice.rs`).

mod flow;
mod idle_timer;
#[cfg(target_os = "linux")]
mod low_watermark;
#[cfg(target_os = "linux")]
mod pipe;
#[cfg(target_os = "linux")]
mod splice;
mod turn;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;

use self::flow::{Ends, Flow, State};
use self::idle_timer::{IdleTimer, Reason};
use self::turn::{Broken, Turn};
use crate::net::keepalive::Keepalive;
use crate::net::parking::{Due, Place};
use crate::net::stream::Stream;
use crate::observer::metrics::{Counter, ListenerMetrics, Timing};
use crate::observer::record::Traffic;
use crate::{Config, TerminationCode};

/// How a relay ended.
#[derive(Debug, PartialEq, Eq)]
pub enum RelayOutcome {
    /// Both sides have ended, one side was reset, or a timeout passed after the backend had answered.
    Finished,
    /// The backend ended its side, or was reset, without having sent a byte.
    Unanswered,
    /// The backend did not send its first byte in time.
    Inactive {
        /// Time since the relay began.
        elapsed: Duration,
        /// The limit that the backend exceeded.
        limit: Duration,
    },
    /// Nothing moved for the idle timeout.
    Idle {
        /// The limit that was exceeded.
        limit: Duration,
    },
    /// The client was reset before the backend had answered.
    Abandoned,
}

/// One side of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The backend.
    Backend,
}

/// The end of a relay.
pub struct RelayEnd<'a, C, S> {
    /// How the relay ended.
    pub outcome: RelayOutcome,
    /// Whether the client's stream was read to its end.
    pub client_eof: bool,
    /// The side that the other side's reset is to be passed on to. It has been sent everything that came before, unless
    /// a timeout has passed.
    pub reset: Option<Side>,
    /// Whether a timeout has ended the relay.
    pub is_overdue: bool,
    /// The client's direction, if the backend has ended without having sent a byte and may still take bytes.
    pub upload: Option<Upload<'a, C, S>>,
}

/// The client's direction of a relay whose backend has ended its side. [`resume`] continues with it.
pub struct Upload<'a, C, S> {
    client: &'a C,
    backend: &'a S,
    up: Box<Flow>,
}

/// What a relay begins with.
#[derive(Debug, Default)]
pub struct Start<'a> {
    /// Bytes for the backend, sent before those of the client.
    pub to_backend: Bytes,
    /// Bytes for the client, sent before those of the backend.
    pub to_client: Bytes,
    /// Limit of the time in which neither the backend sends a byte nor a byte goes to the backend.
    pub inactivity_timeout: Option<Duration>,
    /// Limit of the time without traffic once one side has ended.
    pub half_closed_timeout: Option<Duration>,
    /// Limit of the time without traffic in either direction, in any state.
    pub idle_timeout: Option<Duration>,
    /// The keepalive and the user timeout of the backend's socket. They are set when the relay has lasted for half a second
    /// to a second, since a short connection would pay three system calls for nothing.
    pub keepalive: Option<&'a Config>,
}

/// Relays until the connection is over.
///
/// Each side's end is passed on when the other side has everything, and the other direction goes on. The relay is over
/// when both sides have ended, when one of them was reset, or when a timeout has passed.
///
/// A backend that ends without having sent a byte has failed, so the relay returns at once; [`resume`] relays the rest
/// of the client's direction.
pub fn relay<'a, 't, C: Stream, S: Stream>(
    client: &'a C,
    backend: &'a S,
    start: Start<'a>,
    traffic: &'t mut Traffic,
    metrics: &'t ListenerMetrics,
) -> impl Future<Output = RelayEnd<'a, C, S>> + use<'a, 't, C, S> {
    let mut idle_timer = start.inactivity_timeout.map(|limit| IdleTimer::start(limit, Reason::Inactivity));
    IdleTimer::shorten(&mut idle_timer, start.idle_timeout, Reason::Idle);
    run(Relay {
        client,
        backend,
        up: Flow::new(start.to_backend),
        down: Flow::new(start.to_client),
        half_closed_timeout: start.half_closed_timeout,
        idle_timer,
        reset_watch: None,
        place: Place::default(),
        keepalive: start.keepalive,
        traffic,
        metrics,
    })
}

/// Sends the client `last_message` and the end, and relays the rest of the client's direction.
pub fn resume<'a, 't, C: Stream, S: Stream>(
    upload: Upload<'a, C, S>,
    last_message: Bytes,
    half_closed_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    traffic: &'t mut Traffic,
    metrics: &'t ListenerMetrics,
) -> impl Future<Output = RelayEnd<'a, C, S>> + use<'a, 't, C, S> {
    let Upload { client, backend, up } = upload;
    let mut down = Flow::new(last_message);
    (down.started, down.ended) = (true, true);
    let mut idle_timer = None;
    IdleTimer::shorten(&mut idle_timer, half_closed_timeout, Reason::HalfClosed);
    IdleTimer::shorten(&mut idle_timer, idle_timeout, Reason::Idle);
    let place = Place::default();
    let up = *up;
    run(Relay {
        client,
        backend,
        up,
        down,
        half_closed_timeout,
        idle_timer,
        reset_watch: None,
        place,
        keepalive: None,
        traffic,
        metrics,
    })
}

fn run<'a, 't, C: Stream, S: Stream>(
    relay: Relay<'a, 't, C, S>,
) -> impl Future<Output = RelayEnd<'a, C, S>> + use<'a, 't, C, S> {
    let mut running = Some(relay);
    poll_fn(move |cx| {
        let relay = running.as_mut().expect("a relay is not polled after its end");
        let (outcome, reset) = ready!(relay.poll(cx));
        let Relay { client, backend, mut up, idle_timer, .. } = running.take().expect("the relay was there");
        let is_overdue = idle_timer.is_some_and(|idle_timer| idle_timer.has_passed);
        up.release_source(client);
        let client_eof = up.ended;
        let may_go_on = outcome == RelayOutcome::Unanswered && reset.is_none() && up.state != State::Ended;
        let upload = may_go_on.then(|| Upload { client, backend, up: Box::new(up) });
        Poll::Ready(RelayEnd { outcome, client_eof, reset, is_overdue, upload })
    })
}

/// The outcome, and the side to be reset.
type Outcome = (RelayOutcome, Option<Side>);

struct Relay<'a, 't, C, S> {
    client: &'a C,
    backend: &'a S,
    /// From the client to the backend.
    up: Flow,
    /// From the backend to the client.
    down: Flow,
    half_closed_timeout: Option<Duration>,
    idle_timer: Option<Box<IdleTimer>>,
    /// Waits for the reset of a side that is not read: a read would report the reset.
    reset_watch: Option<Pin<Box<dyn Future<Output = ()> + Send + 'a>>>,
    /// Where the relay waits to be parked.
    place: Place,
    /// `Start::keepalive`, until the options are set.
    keepalive: Option<&'a Config>,
    traffic: &'t mut Traffic,
    metrics: &'t ListenerMetrics,
}

impl<C: Stream, S: Stream> Relay<'_, '_, C, S> {
    /// Gives both directions a turn and counts the bytes that they sent.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let (mut up, mut down) = (Turn::default(), Turn::default());
        let mut polled = self.poll_up(cx, &mut up);
        if polled.is_pending() {
            polled = self.poll_down(cx, &mut down);
        }
        self.traffic.sent_to_backend(up.sent, self.metrics);
        self.traffic.sent_to_client(down.sent, self.metrics);
        if polled.is_pending() {
            polled = self.poll_reset_watch(cx);
        }
        let moved = up.has_moved() || down.has_moved();
        if polled.is_pending() {
            polled = self.poll_idle_timer(cx, moved);
        }
        if polled.is_pending() {
            self.wait(cx, moved);
        }
        polled
    }

    /// Does what only a connection needs that lasts.
    fn wait(&mut self, cx: &mut Context<'_>, moved: bool) {
        let Some(due) = self.place.wait(cx, moved) else { return };
        if let Some(config) = self.keepalive.take() {
            self.backend.keep_alive(Keepalive::of(config));
        }
        if let Due::Quiet(key) = due {
            if self.is_reading() {
                self.client.park(key);
                self.backend.park(key);
            }
        }
    }

    /// Tells whether the relay waits for both sides to send.
    fn is_reading(&self) -> bool {
        let is_open = self.up.state == State::Open && self.down.state == State::Open;
        is_open && self.up.is_reading(self.backend) && self.down.is_reading(self.client)
    }

    fn poll_up(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<Outcome> {
        if self.up.state != State::Open {
            return Poll::Pending;
        }
        let ends = Ends { source: self.client, sink: self.backend };
        match (ready!(self.up.poll(cx, ends, turn)), self.down.state) {
            // Closing the sockets ends both sides.
            (Ok(()), State::Ended) => Poll::Ready((RelayOutcome::Finished, None)),
            (Ok(()), state) => {
                // The backend may be gone; its last bytes still come down the other way.
                let _ = self.backend.shutdown();
                if state == State::Broken {
                    return Poll::Ready(self.client_reset());
                }
                self.up.state = State::Ended;
                self.half_close();
                Poll::Pending
            }
            (Err(Broken::Source), _) => Poll::Ready(self.client_reset()),
            (Err(Broken::Sink), _) => self.backend_broke(),
        }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<Outcome> {
        if self.down.state != State::Open {
            return Poll::Pending;
        }
        let had_answered = self.has_answered();
        let ends = Ends { source: self.backend, sink: self.client };
        let polled = self.down.poll(cx, ends, turn);
        if self.has_answered() && !had_answered {
            if let Some(taken) = self.traffic.answered() {
                self.metrics.took(Timing::FirstByte, taken);
            }
        }
        match (ready!(polled), self.up.state) {
            (Ok(()), _) if !self.has_answered() => Poll::Ready((RelayOutcome::Unanswered, None)),
            (Ok(()), State::Ended) => Poll::Ready((RelayOutcome::Finished, None)),
            (Ok(()), state) => {
                // A client that is gone is noticed by the other direction.
                let _ = self.client.shutdown();
                if state == State::Broken {
                    return Poll::Ready((RelayOutcome::Finished, Some(Side::Client)));
                }
                self.end_down(State::Ended);
                IdleTimer::forget_inactivity(&mut self.idle_timer);
                self.half_close();
                Poll::Pending
            }
            (Err(Broken::Source), _) => Poll::Ready(self.backend_reset()),
            (Err(Broken::Sink), _) => self.client_broke(),
        }
    }

    fn has_answered(&self) -> bool {
        self.down.started
    }

    /// Limits the time without traffic, once one side has ended.
    fn half_close(&mut self) {
        IdleTimer::shorten(&mut self.idle_timer, self.half_closed_timeout, Reason::HalfClosed);
    }

    fn end_down(&mut self, state: State) {
        self.down.state = state;
        self.reset_watch = None; // From now on for the backend's reset.
    }

    /// The client takes nothing more. What it has sent still goes to the backend.
    fn client_broke(&mut self) -> Poll<Outcome> {
        if self.up.state != State::Open {
            return Poll::Ready(self.client_reset());
        }
        self.end_down(State::Broken);
        self.half_close();
        Poll::Pending
    }

    /// The backend takes nothing more. What it has sent still goes to the client.
    fn backend_broke(&mut self) -> Poll<Outcome> {
        self.up.state = State::Broken;
        match self.down.state {
            State::Open => {
                self.half_close();
                Poll::Pending
            }
            State::Ended => Poll::Ready((RelayOutcome::Finished, Some(Side::Client))),
            State::Broken => Poll::Ready(self.client_reset()),
        }
    }

    /// Waits for the client's reset while the client is not read, and for the backend's after the backend has ended.
    fn poll_reset_watch(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if self.down.state != State::Open {
            let backend = self.backend;
            let watch = self.reset_watch.get_or_insert_with(|| Box::pin(backend.wait_for_reset()));
            ready!(watch.as_mut().poll(cx));
            return self.backend_broke();
        }
        if self.up.state == State::Open && self.up.is_reading(self.backend) {
            self.reset_watch = None;
            return Poll::Pending;
        }
        let client = self.client;
        let watch = self.reset_watch.get_or_insert_with(|| Box::pin(client.wait_for_reset()));
        ready!(watch.as_mut().poll(cx));
        let broke = self.client_broke();
        if broke.is_pending() {
            cx.waker().wake_by_ref(); // Watches the backend in the next turn.
        }
        broke
    }

    /// The client was reset, and the backend was sent what came before.
    fn client_reset(&mut self) -> Outcome {
        self.traffic.code = self.has_answered().then_some(TerminationCode::ClientData);
        let outcome = if self.has_answered() { RelayOutcome::Finished } else { RelayOutcome::Abandoned };
        (outcome, Some(Side::Backend))
    }

    /// The backend was reset, and the client was sent what came before.
    fn backend_reset(&mut self) -> Outcome {
        self.traffic.code = self.has_answered().then_some(TerminationCode::BackendData);
        let outcome = if self.has_answered() { RelayOutcome::Finished } else { RelayOutcome::Unanswered };
        (outcome, Some(Side::Client))
    }

    fn poll_idle_timer(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<Outcome> {
        let has_answered = self.has_answered();
        let Some(idle_timer) = &mut self.idle_timer else { return Poll::Pending };
        ready!(idle_timer.poll(cx, moved));
        self.metrics.count(match idle_timer.reason {
            Reason::Inactivity => Counter::LimitInactivity,
            Reason::HalfClosed => Counter::LimitHalfClosed,
            Reason::Idle => Counter::LimitIdle,
        });
        // What came before a reset cannot be delivered.
        if self.down.state == State::Broken {
            return Poll::Ready(self.client_reset());
        }
        if self.up.state == State::Broken {
            return Poll::Ready(self.backend_reset());
        }
        let backend_ended = self.down.state == State::Ended;
        self.traffic.code = match (idle_timer.reason, has_answered) {
            (Reason::Idle, true) => Some(TerminationCode::IdleData),
            (Reason::Idle, false) => Some(TerminationCode::IdleWaiting),
            (_, true) if !backend_ended => Some(TerminationCode::BackendSlowData),
            _ => None,
        };
        let outcome = match idle_timer.reason {
            Reason::Idle => RelayOutcome::Idle { limit: idle_timer.limit },
            _ if has_answered => RelayOutcome::Finished,
            _ => RelayOutcome::Inactive { elapsed: idle_timer.started.elapsed(), limit: idle_timer.limit },
        };
        Poll::Ready((outcome, None))
    }
}
