//! Deciding where a client goes: read, ask the router, read more.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::{sleep_until, timeout};

use super::admission::{admit, announces_late};
use super::guard::{EngineShared, Session};
use super::not_served::report_not_served;
use super::preread::preread;
use super::send::send;
use crate::net::stream::Stream;
use crate::observer::metrics::TlsSide;
use crate::proxy_protocol::{HeaderError, Parsed, parse};
use crate::tls::Transport;
use crate::{Client, End, Observer, Router, Socket, TimedVerdict, Verdict};

/// One undecided client.
pub(super) struct Undecided<'a, R: Router, O: Observer> {
    pub(super) shared: &'a Arc<EngineShared<R, O>>,
    pub(super) transport: &'a Transport,
    pub(super) session: &'a mut Session,
    pub(super) received: Bytes,
    /// Whether `received` begins with the client's own bytes: no PROXY header is expected, or it was taken.
    header_done: bool,
    /// Whether no TLS handshake is expected or under way.
    pub(super) tls_done: bool,
    /// Whether the client has begun a handshake. Its bytes are not in `received`.
    pub(super) hello_begun: bool,
    /// Whether the router was asked about the client itself, before its bytes.
    pub(super) accept_done: bool,
    /// How many of the received bytes the router has answered about.
    pub(super) answered_len: usize,
    /// Whether the observer knows the client.
    pub(super) announced: bool,
    /// The question that waits for its answer. Kept only if decisions have a time limit, which a question may outlast.
    pending: Option<Question<'a>>,
}

/// A question that owns its arguments. Resolves to `None` if the router has no opinion.
type Question<'a> = Pin<Box<dyn Future<Output = Option<TimedVerdict>> + Send + 'a>>;

/// Reads and asks until the router has decided. Returns the verdict and the bytes received so far.
///
/// When a drain begins, a client that has sent nothing is closed at once; the others are closed if they are
/// still undecided after `Config::undecided_drain`.
///
/// Not an `async fn`, which would hold its arguments twice: undecided clients may be many.
pub(crate) fn decide<'a, R: Router, O: Observer>(
    shared: &'a Arc<EngineShared<R, O>>,
    transport: &'a Transport,
    session: &'a mut Session,
) -> impl Future<Output = Result<(Verdict, Bytes), End>> + Send + use<'a, R, O> {
    let client = &session.client;
    let header_done = !client.endpoint.expects_header();
    let tls_done = client.endpoint.certificates().is_none();
    let announced = !announces_late(shared, client);
    let mut undecided = Undecided {
        shared,
        transport,
        session,
        received: Bytes::new(),
        header_done,
        tls_done,
        hello_begun: false,
        accept_done: false,
        answered_len: 0,
        announced,
        pending: None,
    };
    async move {
        let decided = match undecided.shared.config.decision_timeout {
            None => undecided.decide().await,
            Some(limit) => Box::pin(undecided.decide_within(limit)).await,
        };
        undecided.announce_unless_null(&decided);
        if let Err(end) = &decided {
            undecided.report_not_served(end);
        }
        let verdict = decided?;
        undecided.session.record.decided(undecided.session.client.age());
        Ok((verdict, undecided.received))
    }
}

impl<R: Router, O: Observer> Undecided<'_, R, O> {
    /// Announces the client to the observer, once.
    pub(super) fn announce(&mut self) {
        if !self.announced {
            self.announced = true;
            self.shared.observer.announced(&self.session.client);
        }
    }

    /// Reports what the client has sent. A PROXY header or a handshake that is not over is nothing that the router sees.
    fn report_not_served(&self, end: &End) {
        if self.header_done && self.tls_done {
            let Session { client, record, .. } = &*self.session;
            report_not_served(self.shared, self.transport, client, record, end, &self.received);
        }
    }

    fn announce_unless_null(&mut self, decided: &Result<Verdict, End>) {
        let is_silent = matches!(decided, Err(End::ClientLeft)) && self.received.is_empty();
        if is_silent && !self.announced && self.shared.config.dontlognull {
            self.session.record.is_null = true;
        } else if !matches!(decided, Err(End::SourceLimit { .. })) {
            self.announce();
        }
    }

    /// Decides. If a time limit cancels this step, another call goes on where it stopped.
    async fn decide(&mut self) -> Result<Verdict, End> {
        if !self.header_done {
            Box::pin(self.receive_header()).await?;
            self.header_done = true;
            admit(self.shared, &self.session.client, &mut self.session.held)?;
            if !self.shared.config.dontlognull {
                self.announce();
            }
        }
        if !self.tls_done {
            Box::pin(self.begin_with_tls()).await?;
        }
        loop {
            if !self.accept_done {
                if self.shared.router.wants_local() {
                    self.session.client.known.get_or_insert_default().local =
                        self.transport.socket().local_addr();
                }
                match self.ask_about_client().await? {
                    None => {}
                    Some(Verdict::Tls(start)) => Box::pin(self.start_tls(*start, 0)).await?,
                    Some(verdict) => return Ok(verdict),
                }
            }
            if self.pending.is_none() && self.answered_len == self.received.len() {
                self.preread_more().await?;
            }
            // Boxed, since a client that waits to send more has no question.
            match Box::pin(self.ask()).await? {
                None => {}
                Some(Verdict::Tls(start)) => Box::pin(self.start_tls(*start, self.received.len())).await?,
                Some(verdict) => return Ok(verdict),
            }
        }
    }

    /// Asks the router before the client has sent anything. Returns the verdict if it decides.
    async fn ask_about_client(&mut self) -> Result<Option<Verdict>, End> {
        let (shared, socket) = (self.shared, self.transport.socket());
        let answer = if shared.config.decision_timeout.is_none() {
            match shared.router.accepted(&self.session.client) {
                Some(question) => Some(Box::pin(unless_drained(shared, socket, question)).await?),
                None => None,
            }
        } else {
            let router = &*shared.router;
            let pending =
                self.pending.get_or_insert_with(|| accept_question(router, self.session.client.clone()));
            Box::pin(unless_drained(shared, socket, pending)).await?
        };
        match answer {
            Some(_) => Box::pin(self.take_answer(answer)).await,
            None => {
                self.pending = None;
                self.accept_done = true;
                Ok(None)
            }
        }
    }

    /// Takes the answer to the last question. Returns the verdict unless it is to wait. Has taken the answer before it waits
    /// for anything, so that it is not lost if a time limit cancels this step.
    async fn take_answer(&mut self, answer: Option<TimedVerdict>) -> Result<Option<Verdict>, End> {
        self.pending = None;
        if self.accept_done {
            self.answered_len = self.received.len();
        }
        self.accept_done = true;
        let Some(answer) = answer else { return Ok(None) };
        self.session.record.answered(answer.in_block);
        match answer.verdict {
            Verdict::Wait(None) => {}
            Verdict::Wait(message) => {
                let shared = self.shared;
                tokio::select! {
                    biased;
                    sent = Box::pin(self.send_message(message)) => sent?,
                    () = drain_deadline(shared, true) => return Err(End::Undecided),
                }
            }
            verdict => return Ok(Some(verdict)),
        }
        Ok(None)
    }

    /// Decides within `limit`.
    async fn decide_within(&mut self, limit: Duration) -> Result<Verdict, End> {
        match timeout(limit, self.decide()).await {
            Ok(decided) => decided,
            Err(_) => self.ask_after_timeout(limit).await,
        }
    }

    /// Reads the client's next bytes, unless a drain has no more time for the client.
    pub(super) async fn preread_more(&mut self) -> Result<(), End> {
        let (shared, has_time) = (self.shared, !self.received.is_empty());
        tokio::select! {
            biased;
            read = preread(self.transport, &mut self.received, shared.config.max_preread) => read,
            () = drain_deadline(shared, has_time) => Err(End::Undecided),
        }
    }

    /// Asks the router about the received bytes. Returns the verdict unless it is to wait.
    async fn ask(&mut self) -> Result<Option<Verdict>, End> {
        self.announce();
        let (shared, socket) = (self.shared, self.transport.socket());
        let answer = if shared.config.decision_timeout.is_none() {
            let question = shared.router.route(&self.session.client, self.received.clone());
            Some(unless_drained(shared, socket, question).await?)
        } else {
            let router = &*shared.router;
            let pending = self.pending.get_or_insert_with(|| {
                route_question(router, self.session.client.clone(), self.received.clone())
            });
            unless_drained(shared, socket, pending).await?
        };
        self.take_answer(answer).await
    }

    /// Asks the router for a verdict after a timeout, unless the PROXY header has not come.
    async fn ask_after_timeout(&mut self, limit: Duration) -> Result<Verdict, End> {
        self.announce();
        loop {
            if !self.header_done || !self.tls_done {
                return Err(self.timed_out(limit));
            }
            match self.ask_about_timeout().await? {
                None => return Err(self.timed_out(limit)),
                Some(Verdict::Wait(message)) => self.send_message(message).await?,
                Some(Verdict::Tls(start)) => {
                    let seen = self.received.len();
                    match timeout(limit, Box::pin(self.start_tls(*start, seen))).await {
                        Ok(done) => done?,
                        Err(_) => return Err(self.timed_out(limit)),
                    }
                }
                Some(verdict) => return Ok(verdict),
            }
            if let Ok(decided) = timeout(limit, self.decide()).await {
                return decided;
            }
        }
    }

    /// Returns the end of a client about which nothing was decided in time. A handshake that was under way has failed.
    fn timed_out(&self, limit: Duration) -> End {
        if self.header_done && !self.tls_done {
            self.session.client.metrics().handshake(TlsSide::Client, None, limit);
        }
        End::DecisionTimeout { limit, is_silent: self.received.is_empty() && !self.hello_begun }
    }

    /// Asks the router what to do after the timeout. A pending question whose answer decides goes first: the router has
    /// spent its time on that answer. Returns `None` if the router has no opinion.
    async fn ask_about_timeout(&mut self) -> Result<Option<Verdict>, End> {
        let (shared, socket) = (self.shared, self.transport.socket());
        let mut question =
            timeout_question(&*shared.router, self.session.client.clone(), self.received.clone());
        let answer = loop {
            let asked = unless_drained(shared, socket, async {
                tokio::select! {
                    biased;
                    answer = answer_of(&mut self.pending) => Err(answer),
                    answer = &mut question => Ok(answer),
                }
            });
            match asked.await? {
                Ok(answer) => break answer,
                Err(answer) => {
                    if let Some(verdict) = self.take_answer(answer).await? {
                        return Ok(Some(verdict));
                    }
                }
            }
        };
        Ok(answer.map(|answer| {
            self.session.record.answered(answer.in_block);
            answer.verdict
        }))
    }

    pub(super) async fn send_message(&mut self, message: Option<Bytes>) -> Result<(), End> {
        let (message, limit) = (message.unwrap_or_default(), self.shared.config.linger);
        let Session { client, record, .. } = &mut *self.session;
        match send(self.transport, message, limit, client, record).await {
            true => Ok(()),
            false => Err(End::ClientLeft),
        }
    }

    /// Takes the PROXY header that a trusted proxy must send and that others must not send.
    async fn receive_header(&mut self) -> Result<(), End> {
        let trusted = self.session.client.endpoint.trusts(self.session.client.peer);
        loop {
            tokio::select! {
                biased;
                read = preread(self.transport, &mut self.received, self.shared.config.max_preread) => read?,
                () = drain_deadline(self.shared, false) => return Err(End::Undecided),
            }
            match (parse(&self.received), trusted) {
                (Parsed::Header { header, len }, true) => {
                    self.received.advance(len);
                    self.session.client.known.get_or_insert_default().header = Some(header);
                    return Ok(());
                }
                (Parsed::Header { .. }, false) => {
                    return Err(End::BadHeader { reason: HeaderError::Untrusted });
                }
                (Parsed::Invalid(reason), true) => return Err(End::BadHeader { reason }),
                (Parsed::Invalid(_), false) => return Ok(()),
                (Parsed::Incomplete, _) => {}
            }
        }
    }
}

fn accept_question<R: Router>(router: &R, client: Client) -> Question<'_> {
    Box::pin(async move {
        match router.accepted(&client) {
            Some(question) => Some(question.await),
            None => None,
        }
    })
}

fn route_question<R: Router>(router: &R, client: Client, received: Bytes) -> Question<'_> {
    Box::pin(async move { Some(router.route(&client, received).await) })
}

fn timeout_question<R: Router>(router: &R, client: Client, received: Bytes) -> Question<'_> {
    Box::pin(async move {
        match router.timed_out(&client, received) {
            Some(question) => Some(question.await),
            None => None,
        }
    })
}

/// Resolves to the answer of a question; never if there is none.
async fn answer_of(question: &mut Option<Question<'_>>) -> Option<TimedVerdict> {
    match question {
        Some(question) => question.await,
        None => std::future::pending().await,
    }
}

/// Resolves when a drain has no more time for an undecided client: at once unless `has_time`, or unless another process has
/// taken over the listeners.
pub(super) async fn drain_deadline<R: Router, O: Observer>(shared: &EngineShared<R, O>, has_time: bool) {
    let since = shared.shutdown.begun().await;
    if has_time || shared.shutdown.has_successor() {
        Box::pin(sleep_until(since + shared.config.undecided_drain)).await;
    }
}

/// Awaits `question`, unless the client leaves or a drain has no more time for it.
async fn unless_drained<R: Router, O: Observer, T>(
    shared: &EngineShared<R, O>,
    socket: &Socket,
    question: impl Future<Output = T>,
) -> Result<T, End> {
    tokio::select! {
        biased;
        answer = unless_reset(socket, question) => answer,
        () = drain_deadline(shared, true) => Err(End::Undecided),
    }
}

/// Awaits `question`, unless the client leaves.
async fn unless_reset<T>(socket: &Socket, question: impl Future<Output = T>) -> Result<T, End> {
    tokio::select! {
        biased;
        answer = question => Ok(answer),
        () = wait_for_reset(socket) => Err(End::ClientLeft),
    }
}

/// Resolves when the client has reset its connection. The wait is cheap until the client sends something.
pub(crate) async fn wait_for_reset(socket: &Socket) {
    let _ = poll_fn(|cx| socket.poll_read_ready(cx)).await;
    Box::pin(socket.wait_for_reset()).await;
}
