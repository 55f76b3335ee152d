//! Dialing: resolve a backend or choose a server of an upstream, connect, try the next one, retry.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use socket2::SockAddr;
use tokio::time::{sleep, timeout};

use crate::dial::happy_eyeballs::{Connecting, connect, finish_connect, race};
use crate::dial::resolve::resolve;
use crate::dial::resolver::Resolver;
use crate::dial::tls::attempt_tls;
use crate::dial::upstream::{Rounds, Unavailable};
use crate::net::socket::unix_address;
use crate::observer::metrics::Counter;
use crate::observer::record::ConnectionRecord;
use crate::observer::termination::reason::is_starved;
use crate::observer::termination::{DialError, Reason};
use crate::router::verdict::DEFAULT_CONNECT_TIMEOUT;
use crate::session::first_bytes::FirstBytes;
use crate::tls::{Authorities, HandshakeError, Transport};
use crate::{Client, Config, Observer, Remote, Route, Socket, Target, Upstream};

pub(crate) mod happy_eyeballs;
mod resolve;
pub(crate) mod resolver;
mod starttls;
mod tls;
mod upstream;

/// The steps to connect one client to a backend of its route.
pub(crate) struct Dial<'a, O> {
    pub(crate) config: &'a Config,
    pub(crate) resolver: &'a Arc<Resolver>,
    pub(crate) observer: &'a O,
    pub(crate) client: &'a Client,
    pub(crate) record: &'a mut ConnectionRecord,
    pub(crate) route: &'a Route,
    /// The client's socket, for the addresses in a PROXY header.
    pub(crate) socket: &'a Socket,
    /// Whether the client has sent something.
    pub(crate) has_sent: &'a mut bool,
}

/// Why no backend was connected.
pub(crate) struct DialFailure {
    /// The number of failed rounds.
    pub(crate) rounds: u32,
    /// The upstream without room that was the last one to be tried.
    pub(crate) full: Option<Arc<Upstream>>,
}

/// One backend, and how it is tried.
pub(crate) struct Attempt<'a> {
    pub(crate) remote: &'a Remote,
    /// The backend as it was declared, whose host is the name in its certificate.
    pub(crate) declared: &'a Remote,
    /// The authorities for TLS with the backend; `None` without TLS.
    pub(crate) tls: Option<&'a Authorities>,
    /// Limit of the connect and the handshake.
    pub(crate) limit: Duration,
    /// The address to connect from, if the route has one.
    pub(crate) local: Option<SocketAddr>,
    /// Whether another backend can be tried, so that it is worth a moment to hear what this one says about our certificate.
    pub(crate) has_next: bool,
}

/// Why an attempt has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The connect has failed.
    #[error("{0}")]
    Connect(DialError),
    /// The TLS handshake has failed.
    #[error("tls ({0})")]
    Tls(HandshakeError),
}

impl From<HandshakeError> for AttemptError {
    fn from(error: HandshakeError) -> Self {
        Self::Tls(error)
    }
}

impl AttemptError {
    /// Tells whether the backend is to blame, and not this machine or the route.
    pub(crate) fn is_of_backend(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_of_backend(),
            Self::Tls(_) => true,
        }
    }

    /// Tells whether the backend's certificate is wrong.
    pub(crate) fn is_certificate(&self) -> bool {
        matches!(self, Self::Tls(error) if error.is_certificate())
    }
}

impl<O: Observer> Dial<'_, O> {
    /// Connects to the first reachable backend of the route and returns it. Each attempt resolves anew.
    ///
    /// The bytes of `first` that were sent with the connect are removed from it. A backend whose certificate is wrong is
    /// left out of later rounds.
    pub(crate) async fn run(&mut self, first: &mut FirstBytes) -> Result<(Transport, Remote), DialFailure> {
        let retries = self.route.retries.unwrap_or(self.config.connect_retries);
        let mut left_out = Vec::new();
        let mut rounds = Rounds::default();
        for retry in 0..=retries {
            if left_out.len() > self.route.others.len() {
                return Err(DialFailure { rounds: retry, full: None });
            }
            if retry > 0 {
                self.record.retried();
                self.client.metrics().count(Counter::Retries);
                let reason = self.record.dial_reason();
                let mut targets = self.route.targets().enumerate();
                let next = targets.find(|(index, _)| !left_out.contains(index));
                let target = next.map_or(&self.route.target, |(_, target)| target);
                self.observer.retrying(self.client, target, retry, reason);
                sleep(self.route.retry_delay.unwrap_or(self.config.retry_delay)).await;
            }
            // Set if the last target ends the dialing, since the client's wait is over: the upstream that is full.
            let mut last = None;
            for (index, target) in self.route.targets().enumerate() {
                last = None;
                if left_out.contains(&index) {
                    continue;
                }
                match target {
                    Target::Backend(remote) => {
                        self.record.upstream = None;
                        match self.try_backend(remote, first, retry).await {
                            Ok(backend) => return Ok((backend, remote.clone())),
                            Err(error) if error.is_certificate() => left_out.push(index),
                            Err(_) => {}
                        }
                    }
                    // Boxed, since most routes have no upstream.
                    Target::Upstream(upstream) => {
                        match Box::pin(self.dial_upstream(upstream, &mut rounds, first, retry)).await {
                            Ok(connected) => return Ok(connected),
                            Err(Unavailable::Failed) => {}
                            Err(Unavailable::LeftOut) => left_out.push(index),
                            Err(Unavailable::Full) => last = Some(Some(Arc::clone(upstream))),
                            Err(Unavailable::HeldInVain) => last = Some(None),
                        }
                    }
                }
            }
            if let Some(full) = last {
                return Err(DialFailure { rounds: retry + 1, full });
            }
        }
        Err(DialFailure { rounds: retries.saturating_add(1), full: None })
    }

    /// Tries a backend of the route itself.
    async fn try_backend(
        &mut self,
        remote: &Remote,
        first: &mut FirstBytes,
        retry: u32,
    ) -> Result<Transport, AttemptError> {
        let tls = self.route.tls.as_ref();
        let limit = self.route.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT);
        first.set_header(self.route.proxy_protocol, tls.is_some(), self.socket, self.client);
        let has_next = !self.route.others.is_empty();
        let attempt = Attempt { remote, declared: remote, tls, limit, local: self.route.local, has_next };
        self.attempt(attempt, first, retry).await
    }

    /// Tries one backend, and reports how that went.
    async fn attempt(
        &mut self,
        attempt: Attempt<'_>,
        first: &mut FirstBytes,
        retry: u32,
    ) -> Result<Transport, AttemptError> {
        let (client, remote) = (self.client, attempt.remote);
        self.observer.dialing(client, remote);
        let attempted = match attempt.tls {
            None => match connect_backend(self.resolver, &attempt, &mut first.unsent).await {
                Ok(backend) => Ok(Transport::new(backend)),
                Err(error) => Err(AttemptError::Connect(error)),
            },
            Some(tls) => {
                Box::pin(attempt_tls(self.resolver, &attempt, tls, &first.clear, Some(client))).await
            }
        };
        match &attempted {
            Ok(_) => self.observer.connected(client, remote),
            Err(AttemptError::Tls(error)) => {
                let is_timeout = matches!(error, HandshakeError::Timeout(_));
                self.record.failed_at(remote, Reason::Tls, is_timeout);
                self.observer.tls_failed(client, remote, error);
            }
            Err(AttemptError::Connect(error)) => {
                let is_timeout = error.error.kind() == io::ErrorKind::TimedOut;
                let is_new = self.record.failed_at(remote, error.reason, is_timeout);
                self.observer.dial_failed(client, remote, error, retry == 0 || is_new);
                if is_starved(&error.error) {
                    self.observer.dial_starved(client, remote, &error.error);
                }
            }
        }
        attempted
    }
}

/// Connects to one backend within the time limit.
async fn connect_backend(
    resolver: &Arc<Resolver>,
    attempt: &Attempt<'_>,
    first: &mut Bytes,
) -> Result<Socket, DialError> {
    let Attempt { remote, limit, local, .. } = *attempt;
    // Boxed, since most attempts wait for nothing: see connect().
    let (connected, is_resolved) = match literal(remote)? {
        Some(address) => match connect(&address, local, first).map_err(|error| dial_error(error, local))? {
            Connecting::Established(backend) => return Ok(backend),
            Connecting::InProgress(backend) => {
                (Box::pin(timeout(limit, finish_connect(backend))).await, true)
            }
        },
        None => {
            let is_resolved = AtomicBool::new(false);
            let answers = resolve(resolver, remote.host(), remote.port(), local);
            let race = race(answers, local, first, &is_resolved);
            let connected = Box::pin(timeout(limit, race)).await;
            (connected, is_resolved.load(Relaxed))
        }
    };
    let error = match connected {
        Ok(Ok(backend)) => return Ok(backend),
        Ok(Err(error)) => error,
        Err(_) => {
            let text = format!("no answer within {:?}s", limit.as_secs_f64());
            io::Error::new(io::ErrorKind::TimedOut, text)
        }
    };
    let error = dial_error(error, local);
    Err(match error.reason {
        Reason::Exhausted => error,
        _ if !is_resolved => DialError { reason: Reason::Resolve, ..error },
        _ => error,
    })
}

/// Tries whether a backend accepts connections, with the TLS handshake if there is one, and ends the connection with a reset,
/// which leaves no state in the kernel.
pub(crate) async fn check_backend(
    resolver: &Arc<Resolver>,
    attempt: &Attempt<'_>,
) -> Result<(), AttemptError> {
    let Some(tls) = attempt.tls else {
        let backend = connect_backend(resolver, attempt, &mut Bytes::new()).await;
        return backend.map(|backend| backend.reset()).map_err(AttemptError::Connect);
    };
    Box::pin(attempt_tls(resolver, attempt, tls, &Bytes::new(), None)).await.map(|backend| backend.end_now())
}

/// Adds the reason to an error of an attempt. EADDRNOTAVAIL means that no local port is left, unless the route's local
/// address is none of this machine.
fn dial_error(error: io::Error, local: Option<SocketAddr>) -> DialError {
    let error = DialError::from(error);
    let has_no_address = |local: SocketAddr| UdpSocket::bind((local.ip(), 0)).is_err();
    if error.error.kind() == io::ErrorKind::AddrNotAvailable && local.is_some_and(has_no_address) {
        return DialError { reason: Reason::Address, ..error };
    }
    error
}

/// Returns the address of a remote that needs no resolver.
fn literal(remote: &Remote) -> io::Result<Option<SockAddr>> {
    match remote.unix() {
        Some(path) => unix_address(path).map(Some),
        None => Ok(remote.literal().map(SockAddr::from)),
    }
}
