//! What there is to say about a connection when it has ended: one account for each.

use std::time::{Duration, Instant};

use crate::End;
use crate::Remote;
use crate::meters::Meters;

/// Why and when a connection ended, in two letters as HAProxy's tcplog has them: who or what ended it, and
/// in which phase. `docs/logs.md` has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "MEANINGS documents them")]
pub enum Code {
    Normal,
    ClientDeciding,
    ClientConnecting,
    ClientWaiting,
    ClientData,
    ServerConnecting,
    ServerSlowConnecting,
    ServerWaiting,
    ServerSlowWaiting,
    ServerData,
    ServerSlowData,
    IdleWaiting,
    IdleData,
    SlowDeciding,
    Refused,
    PrereadFull,
    BadHeader,
    Starved,
    KilledDeciding,
    KilledConnecting,
    KilledWaiting,
    KilledData,
    DefectDeciding,
    DefectConnecting,
    DefectWaiting,
    DefectData,
}

/// By `Code`: the letters, what they mean, and whether somebody should look into it.
const MEANINGS: [(&str, &str, bool); Code::COUNT] = [
    ("--", "the server has answered and ended, or both sides have", false),
    ("CR", "the client left before the decision", false),
    ("CC", "the client left while its server was being connected", false),
    ("CH", "the client left, or had ended its side, before the server had answered", false),
    ("CD", "the client reset the connection after the server had answered", false),
    ("SC", "no server could be connected", true),
    ("sC", "no server could be connected: the last attempt took too long", true),
    ("SH", "the server closed without having sent a byte", true),
    ("sH", "the server did not send its first byte in time", true),
    ("SD", "the server reset the connection after it had answered", true),
    ("sD", "the server had answered and then was silent for too long", false),
    ("cH", "idle_timeout: nothing moved, and the server had not answered", false),
    ("cD", "idle_timeout: nothing moved", false),
    ("cR", "decision_timeout: no decision in time", false),
    ("PR", "the block said to close it, or gave no valid answer", false),
    ("RR", "max_preread: the client sent too much without a decision", true),
    ("PP", "the PROXY header was missing, broken or not to be trusted", true),
    ("RC", "no server could be connected: this machine had no descriptor, port or memory left", true),
    ("KR", "cut off by a drain before the decision", false),
    ("KC", "cut off by a drain while its server was being connected", false),
    ("KH", "cut off by a drain before the server had answered", false),
    ("KD", "cut off by a drain after the server had answered", false),
    ("IR", "a defect of ProxyMachine, before the decision", true),
    ("IC", "a defect of ProxyMachine, while connecting", true),
    ("IH", "a defect of ProxyMachine, before the server had answered", true),
    ("ID", "a defect of ProxyMachine, after the server had answered", true),
];

impl Code {
    /// How many there are.
    pub const COUNT: usize = 26;

    /// Two letters.
    #[must_use]
    pub fn letters(self) -> &'static str {
        MEANINGS[self as usize].0
    }

    /// All of them, in the order of [`Meters`]: letters, meaning, and whether somebody should look into it.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
        MEANINGS.into_iter()
    }
}

/// Milliseconds, as many as there may be in a log line. `u32::MAX` is "it did not come to that".
type Millis = u32;

const NEVER: Millis = Millis::MAX;

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(NEVER - 1).min(NEVER - 1)
}

/// What a relay counts while it goes.
#[derive(Debug)]
pub struct Traffic {
    /// Bytes that the server was sent.
    pub to_server: u64,
    /// Bytes that the client was sent.
    pub to_client: u64,
    /// When the server was connected.
    pub connected: Option<Instant>,
    /// From then to the server's first byte.
    first_byte: Millis,
    /// Why it ended, where its outcome does not say.
    pub code: Option<Code>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { to_server: 0, to_client: 0, connected: None, first_byte: NEVER, code: None }
    }
}

impl Traffic {
    /// The server's first byte has come now. Returns how long after the connect.
    pub(crate) fn answered(&mut self) -> Option<Duration> {
        let taken = self.connected?.elapsed();
        self.first_byte = millis(taken);
        Some(taken)
    }
}

/// What a connection did and where its time went.
#[derive(Debug)]
pub struct Account {
    /// Bytes both ways.
    pub(crate) traffic: Traffic,
    /// The backend that was tried last.
    pub(crate) remote: Option<Remote>,
    decided: Millis,
    block_micros: u32,
    connecting: Millis,
    relaying: Millis,
    ended: Millis,
    retries: u32,
    /// Why nothing could be connected.
    pub(crate) failure: Option<Code>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            traffic: Traffic::default(),
            remote: None,
            decided: NEVER,
            block_micros: 0,
            connecting: NEVER,
            relaying: NEVER,
            ended: NEVER,
            retries: 0,
            failure: None,
        }
    }
}

fn known(millis: Millis) -> Option<u64> {
    (millis != NEVER).then_some(millis.into())
}

impl Account {
    /// Bytes that the server was sent.
    #[must_use]
    pub fn to_server(&self) -> u64 {
        self.traffic.to_server
    }

    /// Bytes that the client was sent.
    #[must_use]
    pub fn to_client(&self) -> u64 {
        self.traffic.to_client
    }

    /// The backend that was tried last.
    #[must_use]
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Whether that one was connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.traffic.connected.is_some()
    }

    /// Rounds of connect attempts after the first one.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Milliseconds from accept to verdict without those in the block. None: there was no verdict.
    #[must_use]
    pub fn waiting(&self) -> Option<u64> {
        known(self.decided).map(|decided| decided.saturating_sub(self.in_block()))
    }

    /// Milliseconds in the blocks that decide.
    #[must_use]
    pub fn in_block(&self) -> u64 {
        u64::from(self.block_micros) / 1000
    }

    /// Milliseconds in connect attempts and the pauses between them. None: there was no attempt.
    #[must_use]
    pub fn connecting(&self) -> Option<u64> {
        known(self.connecting)
    }

    /// Milliseconds from the connect to the server's first byte. None: there was none.
    #[must_use]
    pub fn first_byte(&self) -> Option<u64> {
        known(self.traffic.first_byte)
    }

    /// Milliseconds from the connect to the end. None: nothing was connected.
    #[must_use]
    pub fn relaying(&self) -> Option<u64> {
        known(self.relaying)
    }

    /// Milliseconds from accept to close.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.ended.into()
    }

    /// Why and when it ended.
    #[must_use]
    pub fn code(&self) -> Code {
        self.traffic.code.unwrap_or_else(|| {
            self.by_phase([
                Code::KilledDeciding,
                Code::KilledConnecting,
                Code::KilledWaiting,
                Code::KilledData,
            ])
        })
    }

    fn by_phase(&self, [deciding, connecting, waiting, data]: [Code; 4]) -> Code {
        match self {
            Self { decided: NEVER, .. } => deciding,
            _ if !self.is_connected() => connecting,
            Self { traffic: Traffic { first_byte: NEVER, .. }, .. } => waiting,
            _ => data,
        }
    }

    pub(crate) fn answered(&mut self, in_block: Duration) {
        let micros = u32::try_from(in_block.as_micros()).unwrap_or(u32::MAX);
        self.block_micros = self.block_micros.saturating_add(micros);
    }

    pub(crate) fn decided(&mut self, age: Duration) {
        self.decided = millis(age);
    }

    pub(crate) fn retried(&mut self) {
        self.retries = self.retries.saturating_add(1);
    }

    pub(crate) fn failed_at(&mut self, remote: &Remote, failure: Code) {
        self.failure = Some(failure);
        if self.remote.as_ref() != Some(remote) {
            self.remote = Some(remote.clone());
        }
    }

    /// Connecting took so long, with success or without.
    pub(crate) fn dialed(&mut self, taken: Duration) {
        let before = if self.connecting == NEVER { 0 } else { self.connecting };
        self.connecting = before.saturating_add(millis(taken)).min(NEVER - 1);
    }

    /// Now it is relayed.
    pub(crate) fn connected(&mut self, now: Instant) {
        self.traffic.connected = Some(now);
    }

    /// It has ended like this.
    pub(crate) fn end(&mut self, end: &End) {
        let code = match end {
            End::ClientLeft => Code::ClientDeciding,
            End::Refused => Code::Refused,
            End::PrereadFull { .. } => Code::PrereadFull,
            End::DecisionTimeout { .. } => Code::SlowDeciding,
            End::BadHeader { .. } => Code::BadHeader,
            End::Undecided => Code::KilledDeciding,
            End::ConnectFailed => self.failure.unwrap_or(Code::ServerConnecting),
            End::ClosedPrematurely { .. } => Code::ServerWaiting,
            End::Inactive { .. } => Code::ServerSlowWaiting,
            End::ClientLeftFirst if !self.is_connected() => Code::ClientConnecting,
            End::ClientLeftFirst => Code::ClientWaiting,
            End::Idle { .. } => self.traffic.code.unwrap_or(Code::IdleData),
            End::Relayed => self.traffic.code.unwrap_or(Code::Normal),
            End::Failed => self.by_phase([
                Code::DefectDeciding,
                Code::DefectConnecting,
                Code::DefectWaiting,
                Code::DefectData,
            ]),
        };
        self.traffic.code = Some(code);
    }

    /// Its sockets are closed.
    pub(crate) fn close(&mut self, accepted: Instant, meters: &Meters) {
        let now = Instant::now();
        self.ended = millis(now.saturating_duration_since(accepted));
        if let Some(connected) = self.traffic.connected {
            self.relaying = millis(now.saturating_duration_since(connected));
        }
        meters.ended(self.code());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_its_own_letters() {
        let letters: HashSet<_> = Code::all().map(|(letters, ..)| letters).collect();
        assert_eq!(letters.len(), Code::COUNT);
        assert_eq!(Code::DefectData.letters(), "ID");
        assert_eq!(Code::Normal.letters(), "--");
        assert_eq!(Code::IdleWaiting.letters(), "cH");
        assert_eq!(Code::KilledDeciding.letters(), "KR");
    }

    #[test]
    fn who_is_cut_off_is_so_in_the_phase_that_it_had_reached() {
        let mut account = Account::default();
        let mut letters = vec![account.code().letters()];
        account.decided(Duration::ZERO);
        letters.push(account.code().letters());
        account.connected(Instant::now());
        letters.push(account.code().letters());
        account.traffic.answered();
        letters.push(account.code().letters());
        assert_eq!(letters, ["KR", "KC", "KH", "KD"]);
    }

    #[test]
    fn time_in_the_block_is_no_waiting() {
        let mut account = Account::default();
        assert_eq!(account.waiting(), None);
        account.answered(Duration::from_micros(3_400));
        account.answered(Duration::from_micros(1_700));
        account.decided(Duration::from_millis(7));
        assert_eq!((account.waiting(), account.in_block()), (Some(2), 5));
    }
}
