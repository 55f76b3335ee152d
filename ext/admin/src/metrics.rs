//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use crate::process::Process;
use crate::snapshot::{Histogram, Listener, Remote, Snapshot, State};

/// What `/metrics` says. The remotes, of which there may be many, only if asked for.
pub fn render(snapshot: &Snapshot, process: Option<&Process>, with_remotes: bool) -> String {
    let mut metrics = Metrics(String::with_capacity(16 * 1024));
    metrics.program(snapshot);
    metrics.connections(snapshot);
    metrics.listeners(&Listener::by_name(&snapshot.listeners));
    metrics.lost_lines(snapshot);
    if with_remotes {
        metrics.remotes(&snapshot.remotes);
    }
    metrics.process(snapshot, process);
    metrics.0
}

struct Metrics(String);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    fn program(&mut self, snapshot: &Snapshot) {
        self.family("proxymachine_build_info", "gauge", "What runs here; always 1.");
        let labels = [
            ("version", snapshot.program.version.as_str()),
            ("ruby_version", snapshot.program.ruby.as_str()),
        ];
        self.sample("proxymachine_build_info", &labels, 1);
        let ready = snapshot.state == State::Running;
        self.one(
            "proxymachine_ready",
            "gauge",
            "1 if new connections are welcome, 0 while draining.",
            u8::from(ready),
        );
    }

    fn connections(&mut self, snapshot: &Snapshot) {
        let connections = &snapshot.connections;
        self.one(
            "proxymachine_connections",
            "gauge",
            "Client connections that are open.",
            connections.current,
        );
        let help = "The most client connections that were open at once.";
        self.one("proxymachine_connections_peak", "gauge", help, connections.max);
        let help = "Client connections that may be open at once.";
        let limit = connections.limit.map_or("+Inf".into(), |limit| limit.to_string());
        self.one("proxymachine_connections_limit", "gauge", help, limit);
        let help = "Client connections that were accepted.";
        self.one("proxymachine_connections_accepted_total", "counter", help, connections.total);
    }

    fn listeners(&mut self, all: &[Listener]) {
        let help = "Client connections that are open, by listener.";
        self.each("proxymachine_listener_connections", "gauge", help, all, |listener| listener.current);
        let help = "Client connections that were accepted, by listener.";
        self.each("proxymachine_listener_accepted_total", "counter", help, all, |listener| listener.accepted);

        let name = "proxymachine_decisions_total";
        self.family(name, "counter", "What the config's blocks answered, by kind.");
        for listener in all {
            for decision in &listener.decisions {
                self.sample(name, &[("listener", &listener.name), ("kind", &decision.name)], decision.count);
            }
        }
        let name = "proxymachine_connections_ended_total";
        self.family(name, "counter", "Client connections that ended, by termination code.");
        for listener in all {
            for end in &listener.ends {
                self.sample(name, &[("listener", &listener.name), ("code", &end.code)], end.count);
            }
        }
        let name = "proxymachine_limit_hits_total";
        self.family(name, "counter", "How often a limit was reached, by the setting's name.");
        for listener in all {
            for limit in &listener.limits {
                self.sample(name, &[("listener", &listener.name), ("limit", &limit.name)], limit.count);
            }
        }

        let help = "Rounds of connect attempts after a first one that failed.";
        self.each("proxymachine_connect_retries_total", "counter", help, all, |listener| listener.retries);
        let help = "Client connections for which no backend could be reached.";
        self.each("proxymachine_connect_failures_total", "counter", help, all, |listener| {
            listener.connect_failures
        });
        let help = "Bytes from clients to backends.";
        self.each("proxymachine_received_bytes_total", "counter", help, all, |listener| listener.bytes_in);
        let help = "Bytes from backends to clients.";
        self.each("proxymachine_sent_bytes_total", "counter", help, all, |listener| listener.bytes_out);

        let help = "How long a question waited for a Ruby thread.";
        self.histogram("proxymachine_queue_wait_seconds", help, all, |listener| &listener.queue_wait);
        let help = "How long the config's block took to answer.";
        self.histogram("proxymachine_block_seconds", help, all, |listener| &listener.block_time);
        let help = "How long it took to connect a backend, retries included.";
        self.histogram("proxymachine_connect_seconds", help, all, |listener| &listener.connect_time);
        let help = "How long a backend took from its connect to its first byte.";
        self.histogram("proxymachine_first_byte_seconds", help, all, |listener| &listener.first_byte);
    }

    fn lost_lines(&mut self, snapshot: &Snapshot) {
        let name = "proxymachine_log_lines_dropped_total";
        self.family(name, "counter", "Log lines that were lost because the log could not take them.");
        if let Some(count) = snapshot.log_lines_dropped {
            self.sample(name, &[], count);
        }
    }

    fn remotes(&mut self, all: &[Remote]) {
        let mut each = |name, kind, help, value: fn(&Remote) -> u64| {
            self.family(name, kind, help);
            for remote in all {
                self.sample(name, &[("remote", &remote.name)], value(remote));
            }
        };
        let help = "Connections to this backend that are open.";
        each("proxymachine_remote_connections", "gauge", help, |remote| remote.current);
        let help = "Connections to this backend that were established.";
        each("proxymachine_remote_connected_total", "counter", help, |remote| remote.connected);
        let help = "Connect attempts to this backend that failed.";
        each("proxymachine_remote_failed_total", "counter", help, |remote| remote.failed);
        each("proxymachine_remote_received_bytes_total", "counter", "Bytes to this backend.", |remote| {
            remote.bytes_in
        });
        each("proxymachine_remote_sent_bytes_total", "counter", "Bytes from this backend.", |remote| {
            remote.bytes_out
        });
    }

    fn process(&mut self, snapshot: &Snapshot, process: Option<&Process>) {
        let help = "When the process started, in seconds since 1970.";
        self.one("process_start_time_seconds", "gauge", help, snapshot.program.started);
        let Some(process) = process else { return };
        let help = "Seconds of the processor, the kernel's part included.";
        self.one("process_cpu_seconds_total", "counter", help, process.cpu_seconds);
        let help = "Memory that the process occupies.";
        self.one("process_resident_memory_bytes", "gauge", help, process.resident_bytes);
        self.one("process_threads", "gauge", "Threads of the process.", process.threads);
        self.one("process_open_fds", "gauge", "File descriptors that are open.", process.open_fds);
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

    fn each(&mut self, name: &str, kind: &str, help: &str, all: &[Listener], value: fn(&Listener) -> u64) {
        self.family(name, kind, help);
        for listener in all {
            self.sample(name, &[("listener", &listener.name)], value(listener));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, all: &[Listener], of: fn(&Listener) -> &Histogram) {
        self.family(name, "histogram", help);
        for listener in all.iter().filter(|listener| !of(listener).counts.is_empty()) {
            let histogram = of(listener);
            let bounds = histogram.bounds.iter().map(f64::to_string).chain(["+Inf".into()]);
            let mut below = 0;
            for (count, bound) in histogram.counts.iter().zip(bounds) {
                below += count;
                self.sample(
                    &format!("{name}_bucket"),
                    &[("listener", &listener.name), ("le", &bound)],
                    below,
                );
            }
            self.sample(&format!("{name}_sum"), &[("listener", &listener.name)], histogram.sum);
            self.sample(&format!("{name}_count"), &[("listener", &listener.name)], below);
        }
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

/// A label's value, as the format wants it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let block_time =
            Histogram { bounds: [0.001, 1.0].as_slice().into(), counts: vec![3, 2, 1], sum: 7.5 };
        let listener = Listener { name: "w\"e\\b\n".into(), block_time, ..Listener::default() };
        let remote = Remote { name: "10.0.0.1:80".into(), connected: 3, ..Remote::default() };
        Snapshot { listeners: vec![listener], remotes: vec![remote], ..Snapshot::default() }
    }

    #[test]
    fn buckets_of_a_histogram_hold_all_that_is_below_them() {
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
    fn remotes_are_told_only_on_request() {
        assert!(!render(&snapshot(), None, false).contains("remote"));
        let text = render(&snapshot(), None, true);
        assert!(text.contains("proxymachine_remote_connected_total{remote=\"10.0.0.1:80\"} 3\n"), "{text}");
    }

    #[test]
    fn every_family_is_explained_once() {
        let text = render(&snapshot(), Some(&Process::default()), true);
        let mut names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(text.matches("# HELP ").count(), all);
    }
}
