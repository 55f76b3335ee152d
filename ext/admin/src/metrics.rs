//! `/metrics` in the Prometheus text format, version 0.0.4.

use std::fmt::{Display, Write};

use crate::certificates::{self, CertificateStats};
use crate::process::ProcessStats;
use crate::snapshot::{BackendStats, Histogram, ListenerStats, Snapshot, State, TlsStats, UpstreamStats};
use crate::upstreams::{self, Sample};

/// Returns the body of `/metrics`. Metrics by backend have many series and are included only on request.
pub fn render(snapshot: &Snapshot, process: Option<&ProcessStats>, with_backends: bool) -> String {
    let mut metrics = Metrics(String::with_capacity(16 * 1024));
    metrics.program(snapshot);
    metrics.connections(snapshot);
    metrics.listeners(&ListenerStats::by_name(&snapshot.listeners));
    metrics.certificates(&snapshot.certificates);
    metrics.limits(snapshot);
    metrics.tls(&snapshot.listeners);
    metrics.upstreams(&snapshot.upstreams);
    metrics.log_lines(snapshot);
    if with_backends {
        metrics.backends(&snapshot.remotes);
    }
    metrics.process(snapshot, process);
    metrics.0
}

struct Metrics(String);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    fn program(&mut self, snapshot: &Snapshot) {
        self.family("proxymachine_build_info", "gauge", "Versions of ProxyMachine and Ruby; always 1.");
        let labels = [
            ("version", snapshot.program.version.as_str()),
            ("ruby_version", snapshot.program.ruby.as_str()),
        ];
        self.sample("proxymachine_build_info", &labels, 1);
        let ready = snapshot.state == State::Running;
        self.one(
            "proxymachine_ready",
            "gauge",
            "1 if new connections are accepted, 0 while draining.",
            u8::from(ready),
        );
    }

    fn connections(&mut self, snapshot: &Snapshot) {
        let connections = &snapshot.connections;
        self.one("proxymachine_connections", "gauge", "Open client connections.", connections.current);
        let help = "Peak of the open client connections.";
        self.one("proxymachine_connections_peak", "gauge", help, connections.max);
        let help = "Client connections that may be open at once.";
        let limit = connections.limit.map_or("+Inf".into(), |limit| limit.to_string());
        self.one("proxymachine_connections_limit", "gauge", help, limit);
        let help = "Accepted client connections.";
        self.one("proxymachine_connections_accepted_total", "counter", help, connections.total);
    }

    fn listeners(&mut self, all: &[ListenerStats]) {
        let help = "Open client connections, by listener.";
        self.each("proxymachine_listener_connections", "gauge", help, all, |listener| listener.current);
        let help = "Accepted client connections, by listener.";
        self.each("proxymachine_listener_accepted_total", "counter", help, all, |listener| listener.accepted);

        let name = "proxymachine_decisions_total";
        self.family(name, "counter", "Answers of the config's blocks, by kind.");
        for listener in all {
            for decision in &listener.decisions {
                self.sample(name, &[("listener", &listener.name), ("kind", &decision.name)], decision.count);
            }
        }
        let name = "proxymachine_connections_ended_total";
        self.family(name, "counter", "Ended client connections, by termination code.");
        for listener in all {
            for end in &listener.ends {
                self.sample(name, &[("listener", &listener.name), ("code", &end.code)], end.count);
            }
        }
        let name = "proxymachine_limit_hits_total";
        self.family(name, "counter", "How often a limit was reached, by the name of its setting.");
        for listener in all {
            for limit in &listener.limits {
                self.sample(name, &[("listener", &listener.name), ("limit", &limit.name)], limit.count);
            }
        }

        let name = "proxymachine_accept_failures_total";
        self.family(name, "counter", "Failed attempts to accept a client, by reason.");
        for listener in all {
            for failure in &listener.accept_failures {
                let labels = [("listener", &*listener.name), ("reason", &failure.name)];
                self.sample(name, &labels, failure.count);
            }
        }

        let help = "Rounds of connect attempts after the first one failed.";
        self.each("proxymachine_connect_retries_total", "counter", help, all, |listener| listener.retries);
        let name = "proxymachine_connect_failures_total";
        let help =
            "Client connections for which no backend could be reached, by the reason of the last attempt.";
        self.family(name, "counter", help);
        for listener in all {
            for reason in &listener.connect_failure_reasons {
                self.sample(name, &[("listener", &listener.name), ("reason", &reason.name)], reason.count);
            }
        }
        let help = "Bytes from clients to backends.";
        self.each("proxymachine_received_bytes_total", "counter", help, all, |listener| listener.bytes_in);
        let help = "Bytes from backends to clients.";
        self.each("proxymachine_sent_bytes_total", "counter", help, all, |listener| listener.bytes_out);

        let help = "Time that a call of a block waited for a Ruby thread.";
        self.histogram("proxymachine_queue_wait_seconds", help, all, |listener| &listener.queue_wait);
        let help = "Time that a block took to answer.";
        self.histogram("proxymachine_block_seconds", help, all, |listener| &listener.block_time);
        let help = "Time until a backend was connected, retries included.";
        self.histogram("proxymachine_connect_seconds", help, all, |listener| &listener.connect_time);
        let help = "Time from the connection to a backend to its first byte.";
        self.histogram("proxymachine_first_byte_seconds", help, all, |listener| &listener.first_byte);
    }

    fn upstreams(&mut self, all: &[UpstreamStats]) {
        for (name, kind, help, samples) in upstreams::metrics(all) {
            self.family(name, kind, help);
            for Sample { upstream, server, value } in samples {
                let upstream = ("upstream", upstream);
                match server {
                    Some(server) => self.sample(name, &[upstream, ("server", server)], value),
                    None => self.sample(name, &[upstream], value),
                }
            }
        }
    }

    fn certificates(&mut self, all: &[CertificateStats]) {
        let name = "proxymachine_certificate_not_after_seconds";
        self.family(
            name,
            "gauge",
            "Time when a certificate that clients see expires, in seconds since 1970.",
        );
        for certificate in certificates::by_name(all) {
            self.sample(name, &[("name", &certificate.name)], certificate.not_after);
        }
    }

    fn limits(&mut self, snapshot: &Snapshot) {
        let limits = &snapshot.limits;
        let help = "Sources with open connections, if connections are counted by source.";
        self.known("proxymachine_sources", "gauge", help, limits.sources);
        let help = "Keys of answers' limits with open connections.";
        self.known("proxymachine_limit_keys", "gauge", help, limits.keys);
    }

    /// Adds up all listeners.
    fn tls(&mut self, listeners: &[ListenerStats]) {
        let mut tls = TlsStats::default();
        listeners.iter().for_each(|listener| tls.add(&listener.tls));
        let name = "proxymachine_tls_handshakes_total";
        self.family(name, "counter", "TLS handshakes with clients and servers.");
        for kind in &tls.handshakes {
            let labels = [
                ("side", &*kind.side),
                ("version", &kind.version),
                ("resumed", if kind.is_resumed { "true" } else { "false" }),
                ("result", if kind.is_ok { "ok" } else { "failed" }),
            ];
            self.sample(name, &labels, kind.count);
        }
        let help = "Clients and servers that ended a TLS connection without close_notify.";
        self.one("proxymachine_tls_truncated_total", "counter", help, tls.truncated);
        let name = "proxymachine_tls_handshake_seconds";
        self.family(name, "histogram", "Time of successful TLS handshakes.");
        self.histogram_samples(name, &[], &tls.handshake_time);
    }

    fn log_lines(&mut self, snapshot: &Snapshot) {
        let help = "Lines of the log and of the access log that were lost because they could not be written in time.";
        self.known("proxymachine_log_lines_dropped_total", "counter", help, snapshot.log_lines_dropped);
    }

    fn backends(&mut self, all: &[BackendStats]) {
        let mut each = |name, kind, help, value: fn(&BackendStats) -> u64| {
            self.family(name, kind, help);
            for backend in all {
                self.sample(name, &[("remote", &backend.name)], value(backend));
            }
        };
        let help = "Open connections to this backend.";
        each("proxymachine_remote_connections", "gauge", help, |backend| backend.current);
        let help = "Established connections to this backend.";
        each("proxymachine_remote_connected_total", "counter", help, |backend| backend.connected);
        let help = "Failed connect attempts to this backend.";
        each("proxymachine_remote_failed_total", "counter", help, |backend| backend.failed);
        each("proxymachine_remote_received_bytes_total", "counter", "Bytes to this backend.", |backend| {
            backend.bytes_in
        });
        each("proxymachine_remote_sent_bytes_total", "counter", "Bytes from this backend.", |backend| {
            backend.bytes_out
        });
    }

    fn process(&mut self, snapshot: &Snapshot, process: Option<&ProcessStats>) {
        let help = "Start time of the process, in seconds since 1970.";
        self.one("process_start_time_seconds", "gauge", help, snapshot.program.started);
        let Some(process) = process else { return };
        let help = "CPU time of the process in seconds, user and system.";
        self.one("process_cpu_seconds_total", "counter", help, process.cpu_seconds);
        let help = "Resident memory of the process in bytes.";
        self.one("process_resident_memory_bytes", "gauge", help, process.resident_bytes);
        self.one("process_threads", "gauge", "Threads of the process.", process.threads);
        self.one("process_open_fds", "gauge", "Open file descriptors.", process.open_fds);
        let limit = process.max_fds.map_or("+Inf".into(), |limit| limit.to_string());
        self.one("process_max_fds", "gauge", "File descriptors that may be open.", limit);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Adds a value that may be absent.
    fn known(&mut self, name: &str, kind: &str, help: &str, value: Option<u64>) {
        self.family(name, kind, help);
        if let Some(value) = value {
            self.sample(name, &[], value);
        }
    }

    fn each(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        all: &[ListenerStats],
        value: fn(&ListenerStats) -> u64,
    ) {
        self.family(name, kind, help);
        for listener in all {
            self.sample(name, &[("listener", &listener.name)], value(listener));
        }
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        all: &[ListenerStats],
        of: fn(&ListenerStats) -> &Histogram,
    ) {
        self.family(name, "histogram", help);
        for listener in all.iter().filter(|listener| !of(listener).counts.is_empty()) {
            self.histogram_samples(name, &[("listener", &listener.name)], of(listener));
        }
    }

    fn histogram_samples(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".into()]);
        let mut below = 0_u64;
        for (count, bound) in histogram.counts.iter().zip(bounds) {
            below = below.saturating_add(*count);
            let labels = [labels, &[("le", &bound)]].concat();
            self.sample(&format!("{name}_bucket"), &labels, below);
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum);
        self.sample(&format!("{name}_count"), labels, below);
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        if labels.is_empty() {
            return self.line(format_args!("{name} {value}"));
        }
        let labels: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escape(text))).collect();
        self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: impl Display) {
        // Writing to memory does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// Escapes a label's value.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let block_time =
            Histogram { bounds: [0.001, 1.0].as_slice().into(), counts: vec![3, 2, 1], sum: 7.5 };
        let listener = ListenerStats { name: "w\"e\\b\n".into(), block_time, ..ListenerStats::default() };
        let backend = BackendStats { name: "10.0.0.1:80".into(), connected: 3, ..BackendStats::default() };
        Snapshot { listeners: vec![listener], remotes: vec![backend], ..Snapshot::default() }
    }

    #[test]
    fn histogram_buckets_are_cumulative() {
        let text = render(&snapshot(), None, false);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("proxymachine_block")).collect();
        assert_eq!(
            lines,
            [
                r#"proxymachine_block_seconds_bucket{listener="w\"e\\b\n",le="0.001"} 3"#,
                r#"proxymachine_block_seconds_bucket{listener="w\"e\\b\n",le="1"} 5"#,
                r#"proxymachine_block_seconds_bucket{listener="w\"e\\b\n",le="+Inf"} 6"#,
                r#"proxymachine_block_seconds_sum{listener="w\"e\\b\n"} 7.5"#,
                r#"proxymachine_block_seconds_count{listener="w\"e\\b\n"} 6"#,
            ]
        );
    }

    #[test]
    fn backends_are_included_only_on_request() {
        assert!(!render(&snapshot(), None, false).contains("remote"));
        let text = render(&snapshot(), None, true);
        assert!(text.contains("proxymachine_remote_connected_total{remote=\"10.0.0.1:80\"} 3\n"), "{text}");
    }

    #[test]
    fn each_family_has_help_and_type_once() {
        let text = render(&snapshot(), Some(&ProcessStats::default()), true);
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(text.matches("# HELP ").count(), all);
    }
}
