//! The station of dialing that chooses a server of an upstream, or waits for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::dial::{Attempt, AttemptError, Dial};
use crate::net::socket::Socket;
use crate::observer::termination::Reason;
use crate::router::verdict::DEFAULT_CONNECT_TIMEOUT;
use crate::session::first_bytes::FirstBytes;
use crate::tls::Transport;
use crate::upstream::{Acquired, DialOptions, Lease, Queued, SlotSet, watch};
use crate::{Observer, Remote, Upstream};

/// Interval at which a client that is held is looked at: it may have ended its side.
const HELD_CLIENT_INTERVAL: Duration = Duration::from_millis(250);

/// Why an upstream had no connection for a client.
pub(super) enum Unavailable {
    /// No server could be connected in this round.
    Failed,
    /// The certificates of all servers are wrong.
    LeftOut,
    /// No server had room.
    Full,
    /// No server has answered while the client was held, or the servers could not be started.
    HeldInVain,
}

/// What further rounds have to know about the upstreams of a route; nothing for most of them.
#[derive(Default)]
pub(super) struct Rounds(Vec<(Arc<Upstream>, Round)>);

/// What further rounds have to know about one upstream.
#[derive(Default)]
struct Round {
    /// The end of the client's wait in the queue. It is set when the wait begins, so that further rounds do not lengthen it.
    queue: Option<Instant>,
    /// The end of the time for which the client may be held.
    hold: Option<Instant>,
    /// The servers whose certificates are wrong.
    left_out: SlotSet,
}

impl Rounds {
    fn take(&mut self, upstream: &Arc<Upstream>) -> Round {
        let known = self.0.iter().position(|(known, _)| Arc::ptr_eq(known, upstream));
        known.map_or_else(Round::default, |index| self.0.swap_remove(index).1)
    }

    fn put(&mut self, upstream: &Arc<Upstream>, round: Round) {
        if round.queue.is_some() || round.hold.is_some() || !round.left_out.is_empty() {
            self.0.push((Arc::clone(upstream), round));
        }
    }
}

impl<O: Observer> Dial<'_, O> {
    /// Connects to a server of an upstream. Each server is tried once.
    pub(super) async fn dial_upstream(
        &mut self,
        upstream: &Arc<Upstream>,
        rounds: &mut Rounds,
        first: &mut FirstBytes,
        retry: u32,
    ) -> Result<(Transport, Remote), Unavailable> {
        self.record.upstream = Some(Arc::clone(upstream));
        let mut round = rounds.take(upstream);
        let connected = self.try_servers(upstream, &mut round, first, retry).await;
        rounds.put(upstream, round);
        connected
    }

    async fn try_servers(
        &mut self,
        upstream: &Arc<Upstream>,
        round: &mut Round,
        first: &mut FirstBytes,
        retry: u32,
    ) -> Result<(Transport, Remote), Unavailable> {
        let mut tried = round.left_out.clone();
        loop {
            let may_wait = round.queue.is_none_or(|end| end > Instant::now());
            let (acquired, options) = upstream.acquire(self.route.key, &tried, may_wait);
            let lease = match acquired {
                Acquired::Lease(lease) => Some(lease),
                Acquired::Queued(queued) => {
                    let end = *round.queue.get_or_insert_with(|| later(options.queue_timeout));
                    Box::pin(self.wait_in_queue(upstream, queued, end)).await.map(Box::new)
                }
                Acquired::Full => None,
                Acquired::Exhausted | Acquired::Asleep => {
                    let Some(limit) = options.hold else {
                        if tried.is_empty() {
                            self.record.unavailable(Reason::Down);
                        }
                        let is_left_out = !tried.is_empty() && tried.len() == round.left_out.len();
                        return Err(if is_left_out { Unavailable::LeftOut } else { Unavailable::Failed });
                    };
                    let end = *round.hold.get_or_insert_with(|| later(limit));
                    if !Box::pin(self.wait_for_server(upstream, end)).await {
                        self.record.unavailable(Reason::Down);
                        return Err(Unavailable::HeldInVain);
                    }
                    tried.clone_from(&round.left_out);
                    continue;
                }
            };
            let Some(mut lease) = lease else {
                self.record.unavailable(Reason::Full);
                return Err(Unavailable::Full);
            };
            match self.try_server(&lease, &options, first, retry).await {
                Ok(backend) => {
                    lease.connected();
                    let remote = lease.remote().clone();
                    self.record.traffic.lease = Some(lease);
                    return Ok((backend, remote));
                }
                Err(error) => {
                    tried.insert(lease.slot());
                    if error.is_certificate() {
                        round.left_out.insert(lease.slot());
                    }
                    if error.is_of_backend() {
                        lease.failed(&error.to_string());
                    }
                    drop(lease);
                    // A server of this machine refuses at once. Other clients of the thread have their turn between two of
                    // thousands of servers.
                    yield_now().await;
                }
            }
        }
    }

    async fn try_server(
        &mut self,
        lease: &Lease,
        options: &DialOptions,
        first: &mut FirstBytes,
        retry: u32,
    ) -> Result<Transport, AttemptError> {
        let route = self.route;
        let tls = route.tls.as_ref().or(options.tls.as_ref());
        let header = route.proxy_protocol.or(options.proxy_protocol);
        let limit = route.connect_timeout.or(options.connect_timeout).unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        first.set_header(header, tls.is_some(), self.socket, self.client);
        let (remote, declared) = (lease.remote(), lease.declared());
        let attempt = Attempt { remote, declared, tls, limit, local: route.local, has_next: true };
        self.attempt(attempt, first, retry).await
    }

    /// Waits for the client's turn in the queue. Returns `None` if the turn has not come in time, or if the client has left
    /// without having sent anything.
    async fn wait_in_queue(
        &mut self,
        upstream: &Arc<Upstream>,
        mut queued: Queued,
        end: Instant,
    ) -> Option<Lease> {
        let begun = Instant::now();
        self.record.is_queued = true;
        let (socket, has_sent) = (self.socket, *self.has_sent);
        let mut gone = std::pin::pin!(async move {
            if has_sent || bytes_or_end(socket).await {
                std::future::pending().await
            }
        });
        let granted = loop {
            // A server that was out may be tried at that time, which nothing else notices.
            let next =
                upstream.next_trial().filter(|next| *next > Instant::now()).map_or(end, |at| at.min(end));
            tokio::select! {
                biased;
                granted = &mut queued.granted => break granted.ok(),
                () = &mut gone => break None,
                () = sleep_until(next) => {
                    if Instant::now() >= end {
                        break None;
                    }
                    upstream.serve_queue();
                }
            }
        };
        self.record.is_queued = false;
        self.record.waited(begun.elapsed());
        granted
    }

    /// Waits until a server answers. Returns whether one does; `false` as well if the client has left without having sent
    /// anything.
    async fn wait_for_server(&mut self, upstream: &Arc<Upstream>, end: Instant) -> bool {
        if Instant::now() >= end {
            return false;
        }
        let begun = Instant::now();
        self.record.is_queued = true;
        let is_eager = *self.has_sent && !self.socket.has_ended();
        let mut hold = upstream.hold(is_eager);
        watch::probe(upstream, self.resolver);
        let answers = loop {
            tokio::select! {
                biased;
                answers = hold.released() => break answers,
                () = sleep_until(end) => break false,
                is_there = bytes_or_end(self.socket), if !*self.has_sent => {
                    if !is_there {
                        break false;
                    }
                    *self.has_sent = true;
                }
                () = tokio::time::sleep(HELD_CLIENT_INTERVAL) => {
                    if upstream.may_try(begun.elapsed()) {
                        break true;
                    }
                }
            }
            hold.set_eager(*self.has_sent && !self.socket.has_ended());
        };
        drop(hold);
        self.record.is_queued = false;
        self.record.waited(begun.elapsed());
        answers
    }
}

/// Resolves when the client has sent something, to `true`, or when it has ended its side without that, to `false`.
async fn bytes_or_end(socket: &Socket) -> bool {
    loop {
        if std::future::poll_fn(|cx| socket.poll_read_ready(cx)).await.is_err() {
            return false;
        }
        if socket.unread() > 0 {
            return true;
        }
        if socket.has_ended() {
            return false;
        }
        socket.clear_readable();
    }
}

fn later(limit: Duration) -> Instant {
    let now = Instant::now();
    // Further than any wait.
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(86400 * 365))
}
