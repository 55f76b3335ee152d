//! The record of one connection: everything that the access log says about it.

use std::time::{Duration, Instant};

use std::sync::Arc;

use crate::Remote;
use crate::limits::SourceLimit;
use crate::observer::metrics::{Counter, ListenerMetrics};
use crate::observer::termination::{End, Reason, TerminationCode};
use crate::router::verdict::RouterFault;
use crate::tls::HandshakeError;
use crate::upstream::{Lease, Upstream};

/// Milliseconds. `u32::MAX` means that the connection did not reach that phase.
type Millis = u32;

const NEVER: Millis = Millis::MAX;

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(NEVER - 1).min(NEVER - 1)
}

/// The part of a [`ConnectionRecord`] that changes while bytes are relayed.
#[derive(Debug)]
pub struct Traffic {
    to_backend: u64,
    to_client: u64,
    connected: Option<Instant>,
    /// Time from the connect to the backend's first byte.
    first_byte: Millis,
    /// Why the relay ended, if its outcome does not say so.
    pub(crate) code: Option<TerminationCode>,
    /// The place at a server of an upstream.
    pub(crate) lease: Option<Box<Lease>>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { to_backend: 0, to_client: 0, connected: None, first_byte: NEVER, code: None, lease: None }
    }
}

impl Traffic {
    /// Counts bytes that were sent to the backend, here and in the metrics of the listener.
    pub(crate) fn sent_to_backend(&mut self, count: usize, metrics: &ListenerMetrics) {
        if count > 0 {
            self.to_backend += count as u64;
            metrics.add(Counter::ToBackend, count as u64);
        }
    }

    /// Counts bytes that were sent to the client, here and in the metrics of the listener.
    pub(crate) fn sent_to_client(&mut self, count: usize, metrics: &ListenerMetrics) {
        if count > 0 {
            self.to_client += count as u64;
            metrics.add(Counter::ToClient, count as u64);
        }
    }

    /// Records that the backend's first byte has come now. Returns the time since the connect.
    pub(crate) fn answered(&mut self) -> Option<Duration> {
        let taken = self.connected?.elapsed();
        self.first_byte = millis(taken);
        if let Some(lease) = &mut self.lease {
            lease.succeeded();
        }
        Some(taken)
    }
}

/// What a connection did and how long each phase took.
#[derive(Debug)]
pub struct ConnectionRecord {
    pub(crate) traffic: Traffic,
    /// The backend that was tried last.
    pub(crate) remote: Option<Remote>,
    /// The upstream that was tried last.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// Whether the client waits in the queue of an upstream, or is held.
    pub(crate) is_queued: bool,
    /// Time of such waits.
    queued: Millis,
    /// Times of the verdict, of the first connect attempt, of the connect and of the close, since the accept.
    decided: Millis,
    dialed: Millis,
    connected: Millis,
    ended: Millis,
    block_micros: u32,
    retries: u32,
    /// Why the last attempt to connect failed, and whether that was by the attempt's time limit.
    failure: Option<(Reason, bool)>,
    /// The reasons of failed attempts that the observer knows, a bit for each.
    known_reasons: u32,
    /// What the code does not say about the end.
    reason: Option<Reason>,
    /// Whether the client left unannounced: without having sent a byte, under `Config::dontlognull`.
    pub(crate) is_null: bool,
}

impl Default for ConnectionRecord {
    fn default() -> Self {
        Self {
            traffic: Traffic::default(),
            remote: None,
            upstream: None,
            is_queued: false,
            queued: 0,
            decided: NEVER,
            dialed: NEVER,
            connected: NEVER,
            ended: NEVER,
            block_micros: 0,
            retries: 0,
            failure: None,
            is_null: false,
            known_reasons: 0,
            reason: None,
        }
    }
}

fn known(millis: Millis) -> Option<u64> {
    (millis != NEVER).then_some(millis.into())
}

impl ConnectionRecord {
    /// Returns the number of bytes sent to the backend.
    #[must_use]
    pub fn to_backend(&self) -> u64 {
        self.traffic.to_backend
    }

    /// Returns the number of bytes sent to the client.
    #[must_use]
    pub fn to_client(&self) -> u64 {
        self.traffic.to_client
    }

    /// Returns the backend that was tried last.
    #[must_use]
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Returns the upstream that was tried last.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_deref()
    }

    /// Returns the milliseconds in the queue of an upstream, or until a server was started. They are part of those of
    /// [`ConnectionRecord::connecting`].
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued.into()
    }

    /// Tells whether a backend was connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.traffic.connected.is_some()
    }

    /// Returns whether the client left without having sent a byte, and `Config::dontlognull` is set.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.is_null
    }

    /// Returns the number of rounds of connect attempts after the first one.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Returns the milliseconds from accept to the first connect attempt, or to the close if there was none, less those
    /// in the block. So the phases add up to the total.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        u64::from(self.dialed.min(self.ended)).saturating_sub(self.in_block())
    }

    /// Returns the milliseconds spent in the blocks that decide.
    #[must_use]
    pub fn in_block(&self) -> u64 {
        u64::from(self.block_micros) / 1000
    }

    /// Returns the milliseconds from the first connect attempt to the connect, or to the close if there was none; `None`
    /// without an attempt.
    #[must_use]
    pub fn connecting(&self) -> Option<u64> {
        known(self.dialed).map(|dialed| u64::from(self.connected.min(self.ended)).saturating_sub(dialed))
    }

    /// Returns the milliseconds from the connect to the backend's first byte; `None` if the backend sent none.
    #[must_use]
    pub fn first_byte(&self) -> Option<u64> {
        known(self.traffic.first_byte)
    }

    /// Returns the milliseconds from the connect to the close; `None` without a backend.
    #[must_use]
    pub fn relaying(&self) -> Option<u64> {
        known(self.connected).map(|connected| self.total().saturating_sub(connected))
    }

    /// Returns the milliseconds from accept to close.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ended.into()
    }

    /// Returns what the termination code does not say about the end.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// Returns the termination code. A connection without a reason was cut off by a drain.
    #[must_use]
    pub fn code(&self) -> TerminationCode {
        self.traffic.code.unwrap_or_else(|| {
            self.by_phase([
                TerminationCode::KilledDeciding,
                TerminationCode::KilledConnecting,
                TerminationCode::KilledWaiting,
                TerminationCode::KilledData,
            ])
        })
    }

    fn by_phase(&self, [deciding, connecting, waiting, data]: [TerminationCode; 4]) -> TerminationCode {
        match self {
            Self { decided: NEVER, .. } => deciding,
            _ if !self.is_connected() => connecting,
            Self { traffic: Traffic { first_byte: NEVER, .. }, .. } => waiting,
            _ => data,
        }
    }

    /// Adds the time that one call of a block took.
    pub(crate) fn answered(&mut self, in_block: Duration) {
        let micros = u32::try_from(in_block.as_micros()).unwrap_or(u32::MAX);
        self.block_micros = self.block_micros.saturating_add(micros);
    }

    /// Records the verdict, `age` after the accept.
    pub(crate) fn decided(&mut self, age: Duration) {
        self.decided = millis(age);
    }

    /// Counts a round of connect attempts after the first one.
    pub(crate) fn retried(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }

    /// Records a failed connect attempt. Returns whether the reason is a new one.
    pub(crate) fn failed_at(&mut self, remote: &Remote, reason: Reason, is_timeout: bool) -> bool {
        self.failure = Some((reason, is_timeout));
        if self.remote.as_ref() != Some(remote) {
            self.remote = Some(remote.clone());
        }
        let known = self.known_reasons;
        self.known_reasons |= 1 << reason as u32;
        self.known_reasons != known
    }

    /// Records that an upstream had no server for the client.
    pub(crate) fn unavailable(&mut self, reason: Reason) {
        self.failure = Some((reason, false));
    }

    /// Adds the time of a wait in the queue of an upstream.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.queued = self.queued.saturating_add(millis(time));
    }

    /// Returns why the last connect attempt failed; `None` if none has failed.
    #[must_use]
    pub fn dial_failure(&self) -> Option<Reason> {
        self.failure.map(|(reason, _)| reason)
    }

    /// Returns why the last connect attempt failed.
    pub(crate) fn dial_reason(&self) -> Reason {
        self.dial_failure().unwrap_or(Reason::Other)
    }

    /// Records the begin of the connect attempts, `age` after the accept.
    pub(crate) fn dialing(&mut self, age: Duration) {
        self.dialed = self.dialed.min(millis(age));
    }

    /// Records the connect; the relay begins.
    pub(crate) fn connected(&mut self, now: Instant, accepted: Instant) {
        self.traffic.connected = Some(now);
        self.connected = millis(now.saturating_duration_since(accepted));
    }

    /// Records why the connection ended.
    pub(crate) fn end(&mut self, end: &End) {
        let code = match end {
            End::ClientLeft => TerminationCode::ClientDeciding,
            End::ClosedByRouter => TerminationCode::ClosedByRouter,
            End::SourceLimit { .. } => TerminationCode::SourceLimit,
            End::KeyLimit { .. } => TerminationCode::KeyLimit,
            End::RouterFailed { fault: RouterFault::Raised } => TerminationCode::RouterRaised,
            End::RouterFailed { fault: RouterFault::InvalidAnswer } => TerminationCode::InvalidAnswer,
            End::PrereadFull { .. } => TerminationCode::PrereadFull,
            End::DecisionTimeout { .. } => TerminationCode::SlowDeciding,
            End::BadHeader { .. } => TerminationCode::BadHeader,
            End::TlsFailed { error: HandshakeError::Timeout(_) } => TerminationCode::SlowTls,
            End::TlsFailed { .. } | End::ClearBeforeTls { .. } => TerminationCode::TlsFailed,
            End::Undecided => TerminationCode::KilledDeciding,
            End::ConnectFailed => self.dial_code(),
            End::UpstreamFull { .. } => TerminationCode::UpstreamFull,
            End::ServerDown { .. } if self.traffic.first_byte == NEVER => TerminationCode::DownWaiting,
            End::ServerDown { .. } => TerminationCode::DownData,
            End::ClientLeftFirst if self.is_queued => TerminationCode::ClientQueued,
            End::ClosedPrematurely { .. } => TerminationCode::BackendWaiting,
            End::Inactive { .. } => TerminationCode::BackendSlowWaiting,
            End::ClientLeftFirst if !self.is_connected() => TerminationCode::ClientConnecting,
            End::ClientLeftFirst => TerminationCode::ClientWaiting,
            End::Idle { .. } => self.traffic.code.unwrap_or(TerminationCode::IdleData),
            End::Relayed => self.traffic.code.unwrap_or(TerminationCode::Normal),
            End::Failed => self.by_phase([
                TerminationCode::DefectDeciding,
                TerminationCode::DefectConnecting,
                TerminationCode::DefectWaiting,
                TerminationCode::DefectData,
            ]),
        };
        self.traffic.code = Some(code);
        self.reason = match (end, code) {
            (End::ClosedPrematurely { is_reset: true, .. }, _) => Some(Reason::Reset),
            (End::ClosedPrematurely { .. }, _) => Some(Reason::Closed),
            (End::Inactive { .. }, _) => Some(Reason::Inactive),
            (End::ServerDown { .. }, _) => Some(Reason::Down),
            (End::DecisionTimeout { is_silent: true, .. }, _) => Some(Reason::Silent),
            (End::DecisionTimeout { .. } | End::PrereadFull { .. }, _) => Some(Reason::Undecided),
            (End::SourceLimit { limit: SourceLimit::Connections, .. }, _) => Some(Reason::SourceConnections),
            (End::SourceLimit { limit: SourceLimit::Rate, .. }, _) => Some(Reason::SourceRate),
            (End::Relayed, TerminationCode::BackendData | TerminationCode::ClientData) => Some(Reason::Reset),
            _ if self.is_connected() => None,
            _ => self.failure.map(|(reason, _)| reason),
        };
    }

    fn dial_code(&self) -> TerminationCode {
        match self.failure {
            Some((Reason::Exhausted, _)) => TerminationCode::Starved,
            Some((_, true)) => TerminationCode::BackendSlowConnecting,
            _ => TerminationCode::BackendConnecting,
        }
    }

    /// Records that the sockets are closed, and counts the termination code.
    pub(crate) fn close(&mut self, accepted: Instant, metrics: &ListenerMetrics) {
        let now = Instant::now();
        self.ended = millis(now.saturating_duration_since(accepted));
        metrics.ended(self.code());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_cut_off_connection_tells_its_phase() {
        let mut record = ConnectionRecord::default();
        let mut letters = vec![record.code().letters()];
        record.decided(Duration::ZERO);
        letters.push(record.code().letters());
        record.connected(Instant::now(), Instant::now());
        letters.push(record.code().letters());
        record.traffic.answered();
        letters.push(record.code().letters());
        assert_eq!(letters, ["KR", "KC", "KH", "KD"]);
    }

    #[test]
    fn the_phases_add_up_to_the_total() {
        let mut record = ConnectionRecord { ended: 19, ..ConnectionRecord::default() };
        record.answered(Duration::from_micros(3_400));
        record.answered(Duration::from_micros(1_700));
        let phases = |record: &ConnectionRecord| {
            (record.waiting(), record.in_block(), record.connecting(), record.relaying())
        };
        assert_eq!(phases(&record), (14, 5, None, None));
        record.decided(Duration::from_millis(7));
        assert_eq!(phases(&record), (14, 5, None, None));
        record.dialing(Duration::from_micros(7_900));
        assert_eq!(phases(&record), (2, 5, Some(12), None));
        record.dialing(Duration::from_millis(9));
        let accepted = Instant::now();
        record.connected(accepted + Duration::from_millis(11), accepted);
        assert_eq!(phases(&record), (2, 5, Some(4), Some(8)));
    }

    #[test]
    fn the_last_failed_attempt_has_the_reason() {
        let (mut record, remote) = (ConnectionRecord::default(), "10.0.0.1:80".parse().unwrap());
        assert!(record.failed_at(&remote, Reason::Refused, false));
        assert!(!record.failed_at(&remote, Reason::Refused, false));
        assert!(record.failed_at(&remote, Reason::Resolve, true));
        record.end(&End::ConnectFailed);
        assert_eq!((record.reason(), record.code().letters()), (Some(Reason::Resolve), "sC"));
    }

    #[test]
    fn bytes_are_counted_in_the_record_and_in_the_metrics() {
        let (mut record, metrics) = (ConnectionRecord::default(), ListenerMetrics::default());
        record.traffic.sent_to_backend(7, &metrics);
        record.traffic.sent_to_client(5, &metrics);
        record.traffic.sent_to_client(4, &metrics);
        assert_eq!((record.to_backend(), record.to_client()), (7, 9));
        assert_eq!((metrics.total(Counter::ToBackend), metrics.total(Counter::ToClient)), (7, 9));
    }
}
