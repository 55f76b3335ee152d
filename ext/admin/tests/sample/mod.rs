//! A busy proxy that does not exist, with a bit of everything.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use proxymachine_admin::snapshot::{
    Connections, Count, Ended, Histogram, Listener, Program, Remote, Setting, Slow,
};
use proxymachine_admin::{Snapshot, Source, State};

const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What somebody could have chosen as a name to break the page or the metrics.
pub const NASTY: &str = "</script><b title='x\">\\&\n";

pub struct Sample {
    pub state: State,
    pub started: Instant,
}

impl Source for Sample {
    fn state(&self) -> State {
        self.state
    }

    fn snapshot(&self) -> Snapshot {
        let uptime = 86_400.0 * 3.0 + self.started.elapsed().as_secs_f64();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        // Some waves, so that there is something to see.
        let wave = |phase: f64| 1.0 + 0.4 * (uptime / 9.0 + phase).sin() + 0.2 * (uptime / 2.3 + phase).sin();
        let count = |rate: f64| ((uptime - 86_400.0 * 2.99) * rate + 7.0 * rate * wave(rate)) as u64;
        Snapshot {
            program: Program {
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
                listener(NASTY, "unix:/run/router.sock", 0.2, &count, wave(1.0)),
            ],
            log_lines_dropped: Some(0),
            remotes: remotes(&count),
            slow: (0..4).map(|index| slow(now, index)).collect(),
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

fn listener(name: &str, address: &str, part: f64, count: &impl Fn(f64) -> u64, wave: f64) -> Listener {
    let counted = |name: &'static str, rate| Count { name: name.into(), count: count(rate * part) };
    let ended = |code: &'static str, meaning: &'static str, is_error, rate| Ended {
        code: code.into(),
        meaning: meaning.into(),
        is_error,
        count: count(rate * part),
    };
    let histogram = |middle: f64, rate: f64| {
        let share = |index: usize| (-((index as f64 - middle) / 1.6).powi(2)).exp() / 2.8;
        let counts: Vec<u64> = (0..=BOUNDS.len()).map(|index| count(rate * part * share(index))).collect();
        let sum = counts.iter().zip(BOUNDS).map(|(&count, bound)| count as f64 * bound * 0.7).sum();
        Histogram { bounds: BOUNDS.as_slice().into(), counts, sum }
    };
    Listener {
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
        retries: count(1.2 * part),
        connect_failures: count(0.7 * part),
        bytes_in: count(900_000.0 * part),
        bytes_out: count(14_000_000.0 * part),
        queue_wait: histogram(0.6, 280.0),
        block_time: histogram(2.0, 280.0),
        connect_time: histogram(3.5, 250.0),
        first_byte: histogram(7.5, 250.0),
    }
}

fn remotes(count: &impl Fn(f64) -> u64) -> Vec<Remote> {
    [
        ("10.0.0.1:443", 1.0, 0.0),
        ("10.0.0.2:443", 0.8, 0.0),
        ("reports.example:8443", 0.1, 0.4),
        ("other", 0.02, 0.0),
    ]
    .map(|(name, part, failed)| Remote {
        name: name.into(),
        current: (180.0 * part) as u64,
        connected: count(130.0 * part),
        failed: count(failed),
        bytes_in: count(430_000.0 * part),
        bytes_out: count(7_100_000.0 * part),
    })
    .into()
}

fn slow(now: f64, index: u32) -> Slow {
    Slow {
        at: now - 4.0 - 37.0 * f64::from(index),
        client: format!("192.0.2.{}:5{index}113", 17 + index),
        listener: "web".into(),
        block: "proxy".into(),
        queue_wait: 0.0021 * f64::from(index + 1),
        block_time: 1.2 + 0.31 * f64::from(index),
        answer: if index == 2 { "close".into() } else { "10.0.0.2:443".into() },
    }
}
