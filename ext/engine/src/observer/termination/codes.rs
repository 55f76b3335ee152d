//! The termination codes: the letters, what they mean, and what to do about them.
//!
//! This table is the only source. The table in `docs/logs.md` (`rake codes`), `proxymachine explain`, the status page
//! and the metrics are made from it.

/// Why and when a connection ended, in two letters as in HAProxy's tcplog: the party that ended the
/// connection, and the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "CODES documents them")]
pub enum TerminationCode {
    Normal,
    ClientDeciding,
    ClientConnecting,
    ClientQueued,
    ClientWaiting,
    ClientData,
    BackendConnecting,
    BackendSlowConnecting,
    UpstreamFull,
    BackendWaiting,
    BackendSlowWaiting,
    BackendData,
    BackendSlowData,
    DownWaiting,
    DownData,
    IdleWaiting,
    IdleData,
    SlowDeciding,
    ClosedByRouter,
    SourceLimit,
    KeyLimit,
    RouterRaised,
    InvalidAnswer,
    PrereadFull,
    BadHeader,
    TlsFailed,
    SlowTls,
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

/// What there is to say about a termination code. The texts are phrases in Markdown.
#[derive(Debug, Clone, Copy)]
pub struct CodeInfo {
    /// The two letters.
    pub letters: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// Why that happens.
    pub cause: &'static str,
    /// What to do about it.
    pub cure: &'static str,
    /// Whether the code stands for an error. Other codes occur in ordinary use.
    pub is_error: bool,
}

/// The first letters: the party or limit that ended the connection.
pub const FIRST_LETTERS: [(&str, &str); 11] = [
    ("C", "the client"),
    ("S", "the backend, which HAProxy calls server"),
    ("P", "the proxy, on instruction of the block or the configuration"),
    ("X", "an exception in the block"),
    ("A", "an answer of the block that is invalid or decides nothing"),
    ("R", "a limit of the machine or of a setting"),
    ("D", "a check that found the server down (`:on_down => :close`)"),
    ("K", "a drain"),
    ("I", "a defect of ProxyMachine"),
    ("c`, `s", "a timeout on the client's or the backend's side"),
    ("-", "a regular end"),
];

/// The second letters: the phase.
pub const SECOND_LETTERS: [(&str, &str); 9] = [
    ("P", "PROXY header"),
    ("T", "the client's TLS handshake"),
    ("L", "the limits by source, before the request, and by key, after the decision"),
    ("R", "the client's request, until the decision"),
    ("Q", "the queue of an upstream, or the start of its servers"),
    ("C", "connecting"),
    ("H", "until the backend's first byte"),
    ("D", "data after the first byte"),
    ("-", "a regular end"),
];

const fn ordinary(
    letters: &'static str,
    meaning: &'static str,
    cause: &'static str,
    cure: &'static str,
) -> CodeInfo {
    CodeInfo { letters, meaning, cause, cure, is_error: false }
}

const fn error(
    letters: &'static str,
    meaning: &'static str,
    cause: &'static str,
    cure: &'static str,
) -> CodeInfo {
    CodeInfo { letters, meaning, cause, cure, is_error: true }
}

const NOTHING: &str = "nothing";
const REPORT: &str = "report it with the log lines before it";

/// For each code, in the order of the variants.
const CODES: [CodeInfo; TerminationCode::COUNT] = [
    ordinary(
        "--",
        "the backend has answered and ended, or both sides have",
        "the connection did its work; if the backend ended first and the client never did, `half_closed_timeout` closed it",
        NOTHING,
    ),
    ordinary(
        "CR",
        "the client left before the decision",
        "a health check or port scan, a client that gave up, or a block that waits for more than the client sends",
        "nothing for checks; otherwise run `--route` on what the client sends",
    ),
    ordinary(
        "CC",
        "the client left while its backend was being connected",
        "the client has less patience than the attempts to connect take",
        "see the milliseconds of connecting; lower `:connect_timeout` or `:retries`, or mend the backend",
    ),
    ordinary(
        "CQ",
        "the client left while it waited in the queue of an upstream, or until a server was started",
        "the client has less patience than `:queue_timeout` or `:hold`",
        "lower these options to what clients wait, raise `:max_connections`, or add servers",
    ),
    ordinary(
        "CH",
        "the client left, or had ended its side, before the backend had answered",
        "the client sends and needs no answer, or gave up on a slow backend, or no answer came within `half_closed_timeout`",
        "nothing for such clients; otherwise see why the backend is slow",
    ),
    ordinary(
        "CD",
        "the client reset the connection after the backend had answered",
        "the client was ended, or closed with data unread",
        "nothing, unless clients complain; then compare their timeouts with the duration",
    ),
    error(
        "SC",
        "no backend could be connected",
        "the reason says which error the last attempt had: the backend is down, its name does not resolve, or no route leads there",
        "act on the reason: start the backend, or correct the address, the name or the firewall",
    ),
    error(
        "sC",
        "no backend could be connected: the last attempt took too long",
        "a firewall drops the packets, the machine is down, the accept queue of the backend is full, or a name server is silent",
        "try `nc -vz HOST PORT` from this machine; `:connect_timeout` limits an attempt",
    ),
    error(
        "sQ",
        "no server of the upstream had room in time",
        "all its servers have `:max_connections`, and the client waited for `:queue_timeout` or found `:max_queue` clients waiting",
        "raise `:max_connections` if the servers can take more, add servers, or find out why their connections last so long",
    ),
    error(
        "SH",
        "the backend closed or reset the connection before it had sent a byte",
        "the backend refuses these clients or this data, speaks another protocol (TLS), or crashed",
        "look into the backend's own log; check that the block chose the right backend",
    ),
    error(
        "sH",
        "the backend did not send its first byte in time",
        "the backend hangs or is slower than the answer's `:inactivity_timeout`, or it waits for more data",
        "look into the backend's own log, or raise the timeout",
    ),
    error(
        "SD",
        "the backend reset the connection after it had answered",
        "the backend crashed or was ended, or closed with data unread",
        "look into the backend's own log",
    ),
    ordinary(
        "sD",
        "the backend had answered and then was silent for too long",
        "the answer's `:inactivity_timeout` ended a connection that the backend keeps open, or `half_closed_timeout` did \
         after the client had ended its side",
        "raise the timeout if the connection was still in use",
    ),
    error(
        "DH",
        "a check found the server down before it had answered",
        "the check failed, and `:on_down => :close` ends the sessions of such a server",
        "the WARN line of the upstream says what the check found",
    ),
    error(
        "DD",
        "a check found the server down after it had answered",
        "the check failed, and `:on_down => :close` ends the sessions of such a server",
        "the WARN line of the upstream says what the check found",
    ),
    ordinary(
        "cH",
        "`idle_timeout`: nothing moved, and the backend had not answered",
        "the backend waits for data that the client does not send, or the client vanished",
        "raise the timeout if the connection was still in use",
    ),
    ordinary(
        "cD",
        "`idle_timeout`: nothing moved",
        "a client or a backend keeps a connection that it does not use, or one of them vanished",
        "raise the timeout if the connection was still in use",
    ),
    ordinary(
        "cR",
        "`decision_timeout`: no decision in time",
        "the client sent nothing or too little, or the block keeps waiting for more",
        "nothing for silent clients; if the client sent its request, run `--route` on these bytes; for protocols in which \
         the server speaks first, decide in `proxy_accept`",
    ),
    ordinary(
        "PR",
        "the block said to close the connection",
        "`:close`, as the config has it",
        "nothing, unless the client should have been served; then run `--route` on what it sends",
    ),
    ordinary(
        "RL",
        "the client's source was over `max_connections_per_source` or `connection_rate_per_source`",
        "the reason says which: a client that opens too many connections, or many clients behind one address",
        "nothing against a flood; otherwise raise the limit, or add a proxy or a NAT gateway to `exempt_sources`",
    ),
    ordinary(
        "PL",
        "a key of the answer's `:limit` had as many connections as it may have",
        "the tenant, account or database opens more connections than it may, or leaks them",
        "nothing, or raise the number in `:limit`; the INFO line names the key",
    ),
    error(
        "XR",
        "the block raised an exception",
        "a defect of the config, or a failed look-up in it",
        "the ERROR lines have the exception, the client and the line of the config",
    ),
    error(
        "AR",
        "the block gave an answer that is invalid or decides nothing",
        "a misspelled key, a remote that is nil or has no port, or a branch without an answer",
        "the log line shows the answer; `-t` and `--route` try the config's answers",
    ),
    error(
        "RR",
        "`max_preread`: the client sent too much without a decision",
        "the client speaks another protocol, or the block misses a case",
        "run `--route` on what the client sends",
    ),
    error(
        "PP",
        "the PROXY header was missing, broken or not to be trusted",
        "the load balancer sends no header, a client came past it, or its address is not in the listener's networks",
        "the ERROR line says which; correct `send-proxy-v2` there or `:proxy_protocol` here",
    ),
    ordinary(
        "CT",
        "the TLS handshake with the client failed",
        "a health check or port scan, a client that does not speak TLS or no version or cipher of ours, does not trust the \
         certificate, or shows no certificate that is trusted here",
        "the INFO line has the reason; try `openssl s_client -connect HOST:PORT -servername NAME`",
    ),
    ordinary(
        "cT",
        "`tls_handshake_timeout`: the client's TLS handshake took too long",
        "the client connects without sending anything, or speaks a protocol in which the server begins",
        "nothing for silent clients; otherwise raise `tls_handshake_timeout`",
    ),
    error(
        "RC",
        "no backend could be connected: this machine had no descriptor, port or memory left",
        "more connections than `ulimit -n`, the local ports towards one backend, or the memory allow",
        "see the WARN line and docs/tuning.md",
    ),
    ordinary(
        "KR",
        "cut off by a drain before the decision",
        "QUIT, TERM, INT or an upgrade came while the client was undecided",
        "nothing, or QUIT instead of TERM",
    ),
    ordinary(
        "KC",
        "cut off by a drain while its backend was being connected",
        "TERM or INT waits 10 seconds only, an upgrade for `upgrade_timeout`",
        "QUIT waits as long as it takes",
    ),
    ordinary(
        "KH",
        "cut off by a drain before the backend had answered",
        "TERM or INT waits 10 seconds only, an upgrade for `upgrade_timeout`",
        "QUIT waits as long as it takes",
    ),
    ordinary(
        "KD",
        "cut off by a drain after the backend had answered",
        "TERM or INT waits 10 seconds only, an upgrade for `upgrade_timeout`",
        "QUIT waits as long as it takes",
    ),
    error("IR", "a defect of ProxyMachine, before the decision", "a defect of ProxyMachine", REPORT),
    error("IC", "a defect of ProxyMachine, while connecting", "a defect of ProxyMachine", REPORT),
    error(
        "IH",
        "a defect of ProxyMachine, before the backend had answered",
        "a defect of ProxyMachine",
        REPORT,
    ),
    error(
        "ID",
        "a defect of ProxyMachine, after the backend had answered",
        "a defect of ProxyMachine",
        REPORT,
    ),
];

impl TerminationCode {
    /// Number of codes.
    pub const COUNT: usize = 36;

    /// Returns what there is to say about the code.
    #[must_use]
    pub fn info(self) -> &'static CodeInfo {
        &CODES[self as usize]
    }

    /// Returns the two letters.
    #[must_use]
    pub fn letters(self) -> &'static str {
        self.info().letters
    }

    /// Lists all codes in the order of [`ListenerMetrics::ends`](crate::ListenerMetrics::ends).
    pub fn all() -> impl Iterator<Item = &'static CodeInfo> {
        CODES.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_its_own_letters() {
        let letters: HashSet<_> = TerminationCode::all().map(|info| info.letters).collect();
        assert_eq!(letters.len(), TerminationCode::COUNT);
        assert_eq!(TerminationCode::Normal.letters(), "--");
        assert_eq!(TerminationCode::IdleWaiting.letters(), "cH");
        assert_eq!(TerminationCode::RouterRaised.letters(), "XR");
        assert_eq!(TerminationCode::InvalidAnswer.letters(), "AR");
        assert_eq!(TerminationCode::Starved.letters(), "RC");
        assert_eq!(TerminationCode::KilledDeciding.letters(), "KR");
        assert_eq!(TerminationCode::DefectData.letters(), "ID");
    }

    #[test]
    fn each_letter_is_explained() {
        let known = |table: &[(&str, &str)], letter: &str| {
            table.iter().any(|(letters, _)| letters.split("`, `").any(|known| known == letter))
        };
        for info in TerminationCode::all() {
            let (first, second) = info.letters.split_at(1);
            assert!(known(&FIRST_LETTERS, first) && known(&SECOND_LETTERS, second), "{info:?}");
        }
    }
}
