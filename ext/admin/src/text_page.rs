//! The plain-text page at `/status.txt`, which `proxymachine top` shows in a terminal.

use std::fmt::Display;

use crate::certificates;
use crate::format::{age, bytes, number, rate};
use crate::handshakes;
use crate::history::{Latency, Rates};
use crate::merge::total;
use crate::page::{MAX_BACKENDS, MAX_FAILURE_GROUPS, MAX_OVER_LIMITS};
use crate::snapshot::ListenerStats;
use crate::status::Status;
use crate::upstreams;

/// Line width without a `width` in the query, in characters.
pub const DEFAULT_WIDTH: usize = 200;

/// Largest line width, in characters.
pub const MAX_WIDTH: usize = 1000;

/// Seconds that a curve covers.
const CURVE_SECONDS: usize = 30;

/// Bars from empty to full height.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Returns the page, the most important lines first, each cut to `width` characters.
pub fn render(status: &Status, width: usize) -> String {
    let mut page = String::with_capacity(8 * 1024);
    let sections = [rates(status), latencies(status), listeners(status), ends(status)];
    let lines = [header(status), String::new()].into_iter().chain(sections.into_iter().flatten());
    for line in lines
        .chain(upstreams(status))
        .chain(failures(status))
        .chain(over_limits(status))
        .chain(handshakes(status))
        .chain(certificates(status))
        .chain(backends(status))
        .chain(slow(status))
    {
        let line: String = line.chars().take(width).map(printable).collect();
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page
}

/// Replaces control characters: names come from the config and may contain terminal escape sequences.
fn printable(character: char) -> char {
    if character.is_control() { '?' } else { character }
}

fn header(status: &Status) -> String {
    let program = &status.snapshot.program;
    format!(
        "{}: {}, ProxyMachine {}, Ruby {}, pid {}, up {}",
        program.name,
        status.snapshot.state.name(),
        program.version,
        program.ruby,
        program.pid,
        age(program.uptime)
    )
}

fn rates(status: &Status) -> Vec<String> {
    let connections = &status.snapshot.connections;
    let limit = connections.limit.map_or(String::new(), |limit| format!(" of {}", number(limit)));
    let peak = format!("peak {}{limit}", number(connections.max));
    let current = curve(status, |second| second.current as f64);
    let mut rows = vec![
        row("connections", &number(connections.current), &peak, &current),
        rate_row(status, "accepted/s", rate, |rates| rates.accepted, number(connections.total)),
    ];
    if let Some(totals) = &status.totals {
        let [decisions, errors] = [total(&totals.decisions), totals.errors()].map(number);
        let [to_backends, to_clients] = [totals.bytes_in, totals.bytes_out].map(size);
        rows.extend([
            rate_row(status, "decisions/s", rate, |rates| rates.decisions, decisions),
            rate_row(status, "to backends/s", bytes, |rates| rates.bytes_in, to_backends),
            rate_row(status, "to clients/s", bytes, |rates| rates.bytes_out, to_clients),
            rate_row(status, "errors/s", rate, |rates| rates.errors, errors),
        ]);
    }
    rows
}

/// Returns a row with a rate, its total and its curve.
fn rate_row(
    status: &Status,
    label: &str,
    format: fn(f64) -> String,
    of: fn(&Rates) -> f64,
    total: String,
) -> String {
    let now = status.rates.as_ref().map_or("-".into(), |rates| format(of(rates)));
    row(label, &now, &format!("{total} in all"), &curve(status, of))
}

fn row(label: &str, now: &str, detail: &str, curve: &str) -> String {
    format!("{label:<14} {now:>10}  {detail:<24} {curve}")
}

/// Returns the curve of the last half minute.
fn curve(status: &Status, of: fn(&Rates) -> f64) -> String {
    let skipped = status.seconds.len().saturating_sub(CURVE_SECONDS);
    bars(&status.seconds.iter().skip(skipped).map(of).collect::<Vec<_>>())
}

/// Returns a bar for each value, the highest at full height. Without a positive value there are no bars.
fn bars(values: &[f64]) -> String {
    let highest = values.iter().copied().fold(0.0, f64::max);
    if highest <= 0.0 {
        return String::new();
    }
    let full = (BARS.len() - 1) as f64;
    values.iter().map(|value| BARS[(value * full / highest).ceil() as usize]).collect()
}

fn latencies(status: &Status) -> Vec<String> {
    let line = |[name, p50, p90, p99, mean, count, bars]: [&dyn Display; 7]| {
        format!("{name:<18} {p50:>9} {p90:>9} {p99:>9} {mean:>9} {count:>12}  {bars}")
    };
    let rows = status.latencies.iter().map(|latency: &Latency| {
        let name = match latency.name {
            "queue_wait" => "waiting for Ruby",
            "block_time" => "in the block",
            "connect_time" => "connecting",
            "first_byte" => "to the first byte",
            other => other,
        };
        let [p50, p90, p99, mean] =
            [latency.p50, latency.p90, latency.p99, latency.mean].map(optional_seconds);
        let counts: Vec<f64> = latency.histogram.counts.iter().map(|&count| count as f64).collect();
        line([&name, &p50, &p90, &p99, &mean, &number(latency.count), &bars(&counts)])
    });
    table(line([&"latency, last min.", &"median", &"90 %", &"99 %", &"mean", &"count", &""]), rows)
}

fn listeners(status: &Status) -> Vec<String> {
    let line = |[name, open, accepted, to_backends, to_clients, retries, failed]: [&dyn Display; 7]| {
        format!(
            "{name:<24} {open:>8} {accepted:>12} {to_backends:>12} {to_clients:>12} {retries:>8} {failed:>8}"
        )
    };
    let rows = status.snapshot.listeners.iter().map(|listener| {
        let [open, accepted] = [listener.current, listener.accepted].map(number);
        let [to_backends, to_clients] = [listener.bytes_in, listener.bytes_out].map(size);
        let [retries, failed] = [listener.retries, listener.connect_failures].map(number);
        line([&listener.name, &open, &accepted, &to_backends, &to_clients, &retries, &failed])
    });
    let head: [&dyn Display; 7] =
        [&"listener", &"open", &"accepted", &"to backends", &"to clients", &"retries", &"failed"];
    table(line(head), rows)
}

fn ends(status: &Status) -> Vec<String> {
    let line = |[code, count, meaning]: [&dyn Display; 3]| format!("{code:<6} {count:>12}  {meaning}");
    let ends = status.totals.as_ref().map_or(Vec::new(), ListenerStats::ends_by_count);
    let rows = ends.into_iter().map(|end| line([&end.code, &number(end.count), &end.meaning]));
    table(line([&"ended", &"connections", &"meaning"]), rows)
}

fn upstreams(status: &Status) -> Vec<String> {
    let (head, rows) = upstreams::lines(&status.snapshot);
    table(head, rows.into_iter())
}

/// Returns the kinds of failures, each with its last connection.
fn failures(status: &Status) -> Vec<String> {
    let line = |[when, code, count, listener, client, times, what]: [&dyn Display; 7]| {
        format!("{when:<16} {code:<4} {count:<26} {listener:<16} {client:<34} {times:<22} {what}")
    };
    let program = &status.snapshot.program;
    let now = program.started + program.uptime;
    let failures = &status.snapshot.failures;
    let ends = status.totals.as_ref().map_or(&[][..], |totals| &totals.ends);
    let rows = failures.groups.iter().take(MAX_FAILURE_GROUPS).map(|group| {
        let kind = &group.kind;
        let when = format!("{} ago", age(now - group.last));
        let last = failures.of(kind).next();
        let client = last.map_or(String::new(), |last| format!("{} {}", last.client, last.connection));
        let times = last.map_or(String::new(), |last| last.times.text());
        let what = kind.summary(ends);
        line([&when, &kind.code, &group.frequency(), &kind.listener, &client.trim_end(), &times, &what])
    });
    let head: [&dyn Display; 7] =
        [&"recent failures", &"code", &"how often", &"listener", &"last client", &"ms", &"backend, reason"];
    table(line(head), rows)
}

fn handshakes(status: &Status) -> Vec<String> {
    let line = |[side, done, resumed, tls13, tls12, failed]: [&str; 6]| {
        format!("{side:<24} {done:>12} {resumed:>12} {tls13:>12} {tls12:>12} {failed:>8}")
    };
    let rows = status.totals.as_ref().map(|totals| handshakes::rows(&totals.tls));
    let rows = rows.into_iter().flatten().map(|row| line(row.each_ref().map(String::as_str)));
    table(line(["TLS handshakes with", "done", "resumed", "TLS 1.3", "TLS 1.2", "failed"]), rows)
}

fn certificates(status: &Status) -> Vec<String> {
    let line = |[name, left, until, file]: [&str; 4]| format!("{name:<30} {left:>10} {until:>12}  {file}");
    let rows = certificates::rows(&status.snapshot.certificates);
    let rows = rows.map(|[name, left, until, file]| line([&name, &left, &until, &file]));
    table(line(["certificate", "left", "until", "file"]), rows)
}

/// Returns the sources and keys that were over a limit.
fn over_limits(status: &Status) -> Vec<String> {
    let line = |[name, limit, max, open, closed]: [&dyn Display; 5]| {
        format!("{name:<40} {limit:<28} {max:>8} {open:>8} {closed:>12}")
    };
    let rows = status.snapshot.limits.over.iter().take(MAX_OVER_LIMITS).map(|over| {
        let [max, open, closed] = [over.max, over.current, over.closed].map(number);
        line([&over.name, &over.limit, &max, &open, &closed])
    });
    table(line([&"over a limit, last minutes", &"limit", &"allowed", &"open", &"closed"]), rows)
}

fn backends(status: &Status) -> Vec<String> {
    let line = |[name, open, connected, failed, to_it, from_it]: [&dyn Display; 6]| {
        format!("{name:<30} {open:>8} {connected:>12} {failed:>8} {to_it:>12} {from_it:>12}")
    };
    let rows = status.snapshot.remotes.iter().take(MAX_BACKENDS).map(|backend| {
        let [open, connected, failed] = [backend.current, backend.connected, backend.failed].map(number);
        let [to_it, from_it] = [backend.bytes_in, backend.bytes_out].map(size);
        line([&backend.name, &open, &connected, &failed, &to_it, &from_it])
    });
    table(line([&"backend", &"open", &"connected", &"failed", &"to it", &"from it"]), rows)
}

fn slow(status: &Status) -> Vec<String> {
    let line = |[when, client, block, answer, waited, took]: [&dyn Display; 6]| {
        format!("{when:<14} {client:<24} {block:<14} {answer:<24} {waited:>9} {took:>9}")
    };
    let program = &status.snapshot.program;
    let now = program.started + program.uptime;
    let rows = status.snapshot.slow.iter().map(|call| {
        let when = format!("{} ago", age(now - call.at));
        let [waited, took] = [call.queue_wait, call.block_time].map(seconds);
        line([&when, &call.client, &call.block, &call.answer, &waited, &took])
    });
    table(line([&"slow", &"client", &"block", &"answer", &"waited", &"took"]), rows)
}

/// Returns the lines of a table after an empty line; nothing without rows.
fn table(head: String, rows: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = vec![String::new(), head];
    lines.extend(rows);
    if lines.len() > 2 { lines } else { Vec::new() }
}

fn size(count: u64) -> String {
    bytes(count as f64)
}

fn optional_seconds(value: Option<f64>) -> String {
    value.map_or("-".into(), seconds)
}

/// Formats a duration like the page, but in ASCII.
fn seconds(value: f64) -> String {
    crate::format::seconds(value).replace('µ', "u")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::certificates::CertificateStats;
    use crate::failures::{Failure, FailureKind, Failures};
    use crate::history::History;
    use crate::snapshot::{
        BackendStats, Connections, Histogram, LimitStats, NamedCount, OverLimit, ProgramInfo, SlowCall,
        Snapshot, State, TerminationCount,
    };

    fn snapshot(accepted: u64) -> Snapshot {
        let end = |code: &'static str, meaning: &'static str, count| TerminationCount {
            code: code.into(),
            meaning: meaning.into(),
            is_error: code != "--",
            count,
            ..TerminationCount::default()
        };
        let listener = ListenerStats {
            name: "web\u{1b}[2J".into(),
            current: 3,
            accepted,
            decisions: vec![NamedCount { name: "connect".into(), count: accepted }],
            ends: vec![
                end("SC", "no backend could be reached", 2),
                end("--", "served", 1234),
                end("RC", "", 0),
            ],
            retries: 5,
            bytes_in: 1536 * accepted,
            bytes_out: 512,
            block_time: Histogram {
                bounds: [0.001, 1.0].as_slice().into(),
                counts: vec![accepted, accepted / 2, 0],
                sum: 0.25,
            },
            ..ListenerStats::default()
        };
        Snapshot {
            program: ProgramInfo {
                name: "config".into(),
                version: "2.0.0".into(),
                ruby: "3.3.8".into(),
                pid: 4711,
                started: 1000.0,
                uptime: 200.0,
            },
            state: State::Running,
            connections: Connections { current: 3, max: 7, total: accepted, limit: Some(32_704) },
            listeners: vec![listener],
            limits: LimitStats {
                over: vec![OverLimit {
                    name: "2001:db8::/64".into(),
                    limit: "max_connections_per_source".into(),
                    max: 20,
                    current: 20,
                    closed: 4711,
                }],
                ..LimitStats::default()
            },
            remotes: vec![BackendStats {
                name: "10.0.0.1:80".into(),
                connected: 9,
                ..BackendStats::default()
            }],
            failures: failures(),
            certificates: vec![CertificateStats {
                name: "a.example".into(),
                file: "/etc/a.pem".into(),
                not_after: 86_399 + 86_400 * 20_788,
                days_left: 9,
            }],
            slow: vec![SlowCall {
                at: 1195.0,
                client: "192.0.2.1:5".into(),
                block: "proxy".into(),
                block_time: 1.5,
                answer: "close".into(),
                ..SlowCall::default()
            }],
            ..Snapshot::default()
        }
    }

    fn failures() -> Failures {
        let mut failures = Failures::default();
        for at in [1100.0, 1190.0] {
            failures.add(Failure {
                at,
                client: "192.0.2.1:5".into(),
                connection: "3mv-11".into(),
                kind: FailureKind {
                    listener: "web".into(),
                    remote: Some("10.0.0.2:80".into()),
                    code: "SC".into(),
                    reason: Some("refused".into()),
                },
                ..Failure::default()
            });
        }
        failures
    }

    /// Returns the status after one sample per second.
    fn status(accepted: &[u64]) -> Status {
        let start = Instant::now();
        let mut history = History::default();
        for (second, accepted) in accepted.iter().enumerate() {
            history.add(&snapshot(*accepted), start + Duration::from_secs(second as u64));
        }
        Status::new(snapshot(*accepted.last().unwrap()), &history)
    }

    #[test]
    fn page_has_all_sections() {
        let expected = "\
config: running, ProxyMachine 2.0.0, Ruby 3.3.8, pid 4711, up 3 min 20 s

connections             3  peak 7 of 32,704         ██
accepted/s              6  12 in all                ▄█
decisions/s             6  12 in all                ▄█
to backends/s       9 KiB  18 KiB in all            ▄█
to clients/s          0 B  512 B in all
errors/s                0  2 in all

latency, last min.    median      90 %      99 %      mean        count
in the block          750 us    700 ms    970 ms       0 s           18  █▄

listener                     open     accepted  to backends   to clients  retries   failed
web?[2J                         3           12       18 KiB        512 B        5        0

ended   connections  meaning
--            1,234  served
SC                2  no backend could be reached

recent failures  code how often                  listener         last client                        ms                     backend, reason
10 s ago         SC   2 times in 1 min 30 s      web              192.0.2.1:5 3mv-11                 -1/0/-1/-1/-1/0        10.0.0.2:80 refused

over a limit, last minutes               limit                         allowed     open       closed
2001:db8::/64                            max_connections_per_source         20       20        4,711

certificate                          left        until  file
a.example                         9 days!   2026-12-01  /etc/a.pem

backend                            open    connected   failed        to it      from it
10.0.0.1:80                           0            9        0          0 B          0 B

slow           client                   block          answer                      waited      took
5 s ago        192.0.2.1:5              proxy          close                          0 s     1.5 s
";
        assert_eq!(render(&status(&[0, 4, 12]), DEFAULT_WIDTH), expected);
    }

    #[test]
    fn lines_are_cut_to_the_width() {
        let page = render(&status(&[0, 4]), 12);
        assert!(page.starts_with("config: runn\n\nconnections\naccepted/s\n"), "{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 12), "{page}");
    }

    #[test]
    fn rates_are_unknown_before_the_second_sample() {
        let page = render(&status(&[4]), 80);
        assert!(page.contains("\naccepted/s              -  4 in all\n"), "{page}");
    }

    #[test]
    fn bars_are_relative_to_the_highest_value() {
        assert_eq!(bars(&[0.0, 0.1, 4.0, 8.0]), " ▁▄█");
        assert_eq!(bars(&[0.0, 0.0]), "");
        assert_eq!(bars(&[]), "");
    }
}
