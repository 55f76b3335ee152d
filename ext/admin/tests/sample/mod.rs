//! Invented counters of a busy proxy, with at least one entry of each kind.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proxymachine_admin::certificates::CertificateStats;
use proxymachine_admin::failures::{Failure, FailureKind, FailureTimes, Failures};
use proxymachine_admin::snapshot::{
    BackendStats, Connections, HandshakeCount, Histogram, LimitStats, ListenerStats, NamedCount, OverLimit,
    ProgramInfo, ServerStats, Setting, SlowCall, TerminationCount, TlsStats, UpstreamStats,
};
use proxymachine_admin::{Snapshot, SnapshotSource, State};

const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A listener name with markup, quotes and a newline.
pub const HOSTILE_NAME: &str = "</script><b title='x\">\\&\n";

pub struct Sample {
    pub state: State,
    pub started: Instant,
}

impl SnapshotSource for Sample {
    fn state(&self) -> State {
        self.state
    }

    fn snapshot(&self) -> Snapshot {
        let uptime = 86_400.0 * 3.0 + self.started.elapsed().as_secs_f64();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        // Waves make the curves of the page visible.
        let wave = |phase: f64| 1.0 + 0.4 * (uptime / 9.0 + phase).sin() + 0.2 * (uptime / 2.3 + phase).sin();
        let count = |rate: f64| ((uptime - 86_400.0 * 2.99) * rate + 7.0 * rate * wave(rate)) as u64;
        Snapshot {
            program: ProgramInfo {
                name: "example".into(),
                version: "2.0.0".into(),
                ruby: "3.3.8".into(),
                pid: 4711,
                started: now - uptime,
                uptime,
            },
            state: self.state,
            connections: Connections {
                current: (412.0 * wave(0.0)) as u64,
                max: 1893,
                total: count(340.0),
                limit: Some(32_704),
            },
            listeners: vec![
                listener("web", "0.0.0.0:443", 1.0, &count, wave(0.0)),
                listener(HOSTILE_NAME, "unix:/run/router.sock", 0.2, &count, wave(1.0)),
            ],
            log_lines_dropped: Some(0),
            remotes: backends(&count),
            upstreams: vec![upstream(now, &count)],
            slow: (0..4).map(|index| slow(now, index)).collect(),
            failures: failures(now),
            certificates: certificates(now),
            limits: limits(&count),
            settings: [
                ("threads", "4"),
                ("max_connections", "32704"),
                ("idle_timeout", "none"),
                ("admin", "127.0.0.1:9432"),
            ]
            .map(|(name, value)| Setting { name: name.into(), value: value.into() })
            .into(),
        }
    }
}

fn certificates(now: f64) -> Vec<CertificateStats> {
    let certificate = |name: &str, file: &str, days_left| CertificateStats {
        name: name.into(),
        file: file.into(),
        not_after: now as i64 + days_left * 86_400,
        days_left,
    };
    vec![
        certificate("www.example.com", "/etc/proxymachine/tls/www.example.com.pem", 63),
        certificate(HOSTILE_NAME, "/etc/proxymachine/tls/db.pem", 8),
    ]
}

fn upstream(now: f64, count: &impl Fn(f64) -> u64) -> UpstreamStats {
    let server = |server: &str, state: &'static str, reason: Option<&str>| ServerStats {
        server: server.into(),
        state: state.into(),
        since: now - 7_300.0,
        reason: reason.map(str::to_owned),
        weight: 1,
        connections: if reason.is_some() { 0 } else { 41 },
        failures: if reason.is_some() { count(0.01) } else { 0 },
        last_check: Some(now - 1.0),
    };
    let servers = vec![
        server("10.0.0.1:5432", "up", None),
        server("10.0.0.2:5432", "down", Some("refused (Connection refused)")),
        server(HOSTILE_NAME, "up", None),
    ];
    UpstreamStats { name: "db".into(), phase: "running".into(), connections: 82, queue: 3, held: 0, servers }
}

fn listener(name: &str, address: &str, part: f64, count: &impl Fn(f64) -> u64, wave: f64) -> ListenerStats {
    let counted = |name: &'static str, rate| NamedCount { name: name.into(), count: count(rate * part) };
    let ended = |code: &'static str, meaning: &'static str, is_error, rate| TerminationCount {
        code: code.into(),
        meaning: meaning.into(),
        cause: "many <reasons>".into(),
        remedy: "look".into(),
        is_error,
        count: count(rate * part),
    };
    let histogram = |middle: f64, rate: f64| {
        let share = |index: usize| (-((index as f64 - middle) / 1.6).powi(2)).exp() / 2.8;
        let counts: Vec<u64> = (0..=BOUNDS.len()).map(|index| count(rate * part * share(index))).collect();
        let sum = counts.iter().zip(BOUNDS).map(|(&count, bound)| count as f64 * bound * 0.7).sum();
        Histogram { bounds: BOUNDS.as_slice().into(), counts, sum }
    };
    ListenerStats {
        name: name.into(),
        address: address.into(),
        current: (340.0 * part * wave) as u64,
        accepted: count(280.0 * part),
        decisions: vec![
            counted("connect", 250.0),
            counted("wait", 80.0),
            counted("close", 25.0),
            counted("invalid", 0.1),
        ],
        ends: vec![
            ended("--", "served", false, 240.0),
            ended("RC", "the block closed it", false, 25.0),
            ended("SC", "no backend could be reached", true, 0.7),
            ended("SP", "the backend closed without an answer", true, 0.3),
        ],
        limits: vec![counted("decision_timeout", 0.05), counted("max_connections", 0.0)],
        accept_failures: vec![counted("descriptors", 0.0)],
        retries: count(1.2 * part),
        connect_failures: count(0.7 * part),
        connect_failure_reasons: vec![NamedCount { name: "refused".into(), count: count(0.7 * part) }],
        bytes_in: count(900_000.0 * part),
        bytes_out: count(14_000_000.0 * part),
        queue_wait: histogram(0.6, 280.0),
        block_time: histogram(2.0, 280.0),
        connect_time: histogram(3.5, 250.0),
        first_byte: histogram(7.5, 250.0),
        tls: TlsStats {
            handshakes: vec![HandshakeCount {
                side: "client".into(),
                version: "TLSv1.3".into(),
                is_resumed: false,
                is_ok: true,
                count: count(120.0 * part),
            }],
            truncated: count(0.4 * part),
            handshake_time: histogram(0.9, 120.0),
        },
    }
}

fn backends(count: &impl Fn(f64) -> u64) -> Vec<BackendStats> {
    [
        ("10.0.0.1:443", 1.0, 0.0),
        ("10.0.0.2:443", 0.8, 0.0),
        ("reports.example:8443", 0.1, 0.4),
        ("other", 0.02, 0.0),
    ]
    .map(|(name, part, failed)| BackendStats {
        name: name.into(),
        current: (180.0 * part) as u64,
        connected: count(130.0 * part),
        failed: count(failed),
        bytes_in: count(430_000.0 * part),
        bytes_out: count(7_100_000.0 * part),
    })
    .into()
}

fn failures(now: f64) -> Failures {
    let mut failures = Failures::default();
    for index in 0..40 {
        let is_refused = index % 8 != 0;
        failures.add(Failure {
            at: now - 8.0 * f64::from(40 - index),
            client: format!("192.0.2.{}:4{index:02}17", 17 + index % 5),
            connection: format!("3mv-9{index:02}"),
            kind: FailureKind {
                listener: if is_refused { "web".into() } else { HOSTILE_NAME.into() },
                remote: is_refused.then(|| "reports.example:8443".into()),
                code: if is_refused { "SC".into() } else { "PP".into() },
                reason: is_refused.then(|| "refused".into()),
            },
            times: FailureTimes {
                waiting_ms: Some(0),
                block_ms: 1,
                connecting_ms: is_refused.then_some(1009),
                total_ms: 1010,
                ..FailureTimes::default()
            },
            retries: 10,
        });
    }
    failures
}

fn limits(count: &impl Fn(f64) -> u64) -> LimitStats {
    let over = |name: &str, limit: &'static str, rate| OverLimit {
        name: name.into(),
        limit: limit.into(),
        max: 20,
        current: 20,
        closed: count(rate),
    };
    LimitStats {
        sources: Some(207),
        keys: Some(9),
        over: vec![
            over("2001:db8:1:2::/64", "max_connections_per_source", 0.2),
            over(HOSTILE_NAME, "limit", 0.05),
        ],
    }
}

fn slow(now: f64, index: u32) -> SlowCall {
    SlowCall {
        at: now - 4.0 - 37.0 * f64::from(index),
        client: format!("192.0.2.{}:5{index}113", 17 + index),
        listener: "web".into(),
        block: "proxy".into(),
        queue_wait: 0.0021 * f64::from(index + 1),
        block_time: 1.2 + 0.31 * f64::from(index),
        answer: if index == 2 { "close".into() } else { "10.0.0.2:443".into() },
    }
}
