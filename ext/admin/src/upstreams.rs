//! Upstreams and their servers: the data, the sum over several processes, and the tables of the pages.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::format::{age, number};
use crate::html::{Column, Html, NAME, NUMBER, WORD, table, text, text_element};
use crate::snapshot::Snapshot;

/// Servers that the pages list.
const MAX_SERVERS: usize = 100;

/// State of a server that only a process which has exited has known.
const GONE: &str = "gone";

/// An upstream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamStats {
    /// Name from the config.
    pub name: String,
    /// What is being done about the servers: `running`, `starting`, `stopping` or `stopped`.
    pub phase: Cow<'static, str>,
    /// Connections to all servers.
    pub connections: u64,
    /// Clients that wait for a server with room.
    pub queue: u64,
    /// Clients that are held until a server answers.
    pub held: u64,
    /// The servers, in the order of the list.
    pub servers: Vec<ServerStats>,
}

/// A server of an upstream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerStats {
    /// `host:port`, as the list has it.
    pub server: String,
    /// `up`, `down`, or `drained` for a server that is up and has the weight 0.
    pub state: Cow<'static, str>,
    /// Time of the last change between up and down, in seconds since 1970.
    pub since: f64,
    /// Why the server is down.
    pub reason: Option<String>,
    /// Weight in the choice.
    pub weight: u64,
    /// Connections that are open now.
    pub connections: u64,
    /// Connections that failed since the start.
    pub failures: u64,
    /// Time of the last check, in seconds since 1970. None: the server was never checked.
    pub last_check: Option<f64>,
}

impl ServerStats {
    fn is_up(&self) -> bool {
        self.state != "down"
    }

    /// Adds the counters of another process. The server is up if it is up for one of them.
    fn add(&mut self, other: &Self) {
        let is_better = self.state == GONE || other.state != GONE && !self.is_up() && other.is_up();
        if is_better {
            self.state.clone_from(&other.state);
            self.reason.clone_from(&other.reason);
            (self.since, self.weight) = (other.since, other.weight);
        }
        self.last_check = match (self.last_check, other.last_check) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        self.connections = self.connections.saturating_add(other.connections);
        self.failures = self.failures.saturating_add(other.failures);
    }
}

impl UpstreamStats {
    fn add(&mut self, other: &Self) {
        if self.phase == GONE {
            self.phase.clone_from(&other.phase);
        }
        self.connections = self.connections.saturating_add(other.connections);
        self.queue = self.queue.saturating_add(other.queue);
        self.held = self.held.saturating_add(other.held);
        for server in &other.servers {
            match self.servers.iter_mut().find(|own| own.server == server.server) {
                Some(own) => own.add(server),
                None => self.servers.push(server.clone()),
            }
        }
    }
}

/// Adds the upstreams of another process.
pub(crate) fn add(sums: &mut Vec<UpstreamStats>, others: &[UpstreamStats]) {
    for upstream in others {
        match sums.iter_mut().find(|sum| sum.name == upstream.name) {
            Some(sum) => sum.add(upstream),
            None => sums.push(upstream.clone()),
        }
    }
}

/// Keeps only the counters of a process that has exited.
pub(crate) fn clear_open(upstreams: &mut [UpstreamStats]) {
    for upstream in upstreams {
        (upstream.connections, upstream.queue, upstream.held) = (0, 0, 0);
        upstream.phase = GONE.into();
        for server in &mut upstream.servers {
            server.connections = 0;
            server.state = GONE.into();
        }
    }
}

/// Removes what only processes that have exited have known.
pub(crate) fn remove_gone(upstreams: &mut Vec<UpstreamStats>) {
    upstreams.retain(|upstream| upstream.phase != GONE);
    upstreams.iter_mut().for_each(|upstream| upstream.servers.retain(|server| server.state != GONE));
}

/// Returns the metrics of all upstreams: the name, the type and the help of each, and its samples.
pub(crate) fn metrics(
    all: &[UpstreamStats],
) -> Vec<(&'static str, &'static str, &'static str, Vec<Sample<'_>>)> {
    let servers = |value: fn(&ServerStats) -> u64| {
        let mut samples = Vec::new();
        for upstream in all {
            samples.extend(upstream.servers.iter().map(|server| Sample {
                upstream: &upstream.name,
                server: Some(&server.server),
                value: value(server),
            }));
        }
        samples
    };
    let queue =
        all.iter().map(|upstream| Sample { upstream: &upstream.name, server: None, value: upstream.queue });
    vec![
        (
            "proxymachine_upstream_server_up",
            "gauge",
            "1 if the server of the upstream is up, else 0.",
            servers(|server| u64::from(server.is_up())),
        ),
        (
            "proxymachine_upstream_server_connections",
            "gauge",
            "Open connections to the server of the upstream.",
            servers(|server| server.connections),
        ),
        (
            "proxymachine_upstream_server_failures_total",
            "counter",
            "Connections to the server of the upstream that failed.",
            servers(|server| server.failures),
        ),
        (
            "proxymachine_upstream_queue",
            "gauge",
            "Clients that wait for a server of the upstream with room.",
            queue.collect(),
        ),
    ]
}

/// A value of a metric.
pub(crate) struct Sample<'a> {
    pub(crate) upstream: &'a str,
    pub(crate) server: Option<&'a str>,
    pub(crate) value: u64,
}

/// A row of the tables.
struct Row {
    cells: [String; 10],
    is_up: bool,
}

/// Returns the rows, one for each server, and how many more there are.
fn rows(snapshot: &Snapshot) -> (Vec<Row>, usize) {
    let now = snapshot.program.started + snapshot.program.uptime;
    let ago = |time: f64| age((now - time).max(0.0));
    let all =
        || snapshot.upstreams.iter().flat_map(|upstream| upstream.servers.iter().map(move |s| (upstream, s)));
    let mut rows: Vec<Row> = all()
        .take(MAX_SERVERS)
        .map(|(upstream, server)| Row {
            cells: [
                upstream.name.clone(),
                server.server.clone(),
                server.state.to_string(),
                ago(server.since),
                number(server.weight),
                number(server.connections),
                number(upstream.queue + upstream.held),
                number(server.failures),
                server.last_check.map_or("never".into(), |time| format!("{} ago", ago(time))),
                server.reason.clone().unwrap_or_default(),
            ],
            is_up: server.is_up(),
        })
        .collect();
    let empty = snapshot.upstreams.iter().filter(|upstream| upstream.servers.is_empty());
    rows.extend(empty.map(|upstream| {
        let mut cells: [String; 10] = Default::default();
        (cells[0], cells[1]) = (upstream.name.clone(), "no server".into());
        cells[6] = number(upstream.queue + upstream.held);
        Row { cells, is_up: false }
    }));
    (rows, all().count().saturating_sub(MAX_SERVERS))
}

/// Returns the table of the status page.
pub(crate) fn html(snapshot: &Snapshot) -> Html {
    const COLUMNS: [Column<'_>; 10] = [
        ("Upstream", NAME),
        ("Server", NAME),
        ("State", WORD),
        ("Since", NAME),
        ("Weight", NUMBER),
        ("Open", NUMBER),
        ("Waiting", NUMBER),
        ("Failures", NUMBER),
        ("Last check", NAME),
        ("Reason", NAME),
    ];
    let (rows, more) = rows(snapshot);
    let rows = rows.into_iter().map(|row| {
        let state = if row.is_up { "name" } else { "failed" };
        let cell = |(index, cell): (usize, &String)| {
            if index == 2 { text_element("span", state, cell) } else { text(cell) }
        };
        row.cells.iter().enumerate().map(cell).collect::<Vec<_>>()
    });
    let more = (more > 0).then(|| text_element("p", "small", format!("and {more} more: status.json")));
    [table(&COLUMNS, rows)].into_iter().chain(more).collect()
}

/// Returns the head and the rows of the text page.
pub(crate) fn lines(snapshot: &Snapshot) -> (String, Vec<String>) {
    let line = |cells: &[String; 10]| {
        let [name, server, state, since, weight, open, waiting, failures, check, reason] = cells;
        format!(
            "{name:<16} {server:<24} {state:<8} {since:>14} {weight:>6} {open:>8} {waiting:>8} {failures:>8} {check:>16}  \
             {reason}"
        )
    };
    let head = [
        "upstream",
        "server",
        "state",
        "since",
        "weight",
        "open",
        "waiting",
        "failures",
        "last check",
        "reason",
    ];
    let (rows, more) = rows(snapshot);
    let mut lines: Vec<String> = rows.iter().map(|row| line(&row.cells)).collect();
    lines.extend((more > 0).then(|| format!("and {more} more")));
    (line(&head.map(str::to_owned)), lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(state: &'static str, connections: u64, failures: u64) -> UpstreamStats {
        let server = ServerStats {
            server: "10.0.0.1:80".into(),
            state: state.into(),
            connections,
            failures,
            last_check: Some(failures as f64),
            ..ServerStats::default()
        };
        let servers = vec![server];
        UpstreamStats { name: "db".into(), phase: "running".into(), queue: 2, servers, ..Default::default() }
    }

    #[test]
    fn a_server_is_up_if_it_is_up_for_one_worker() {
        let mut sum = vec![upstream("down", 1, 5)];
        add(&mut sum, &[upstream("up", 2, 1)]);
        let server = &sum[0].servers[0];
        assert_eq!((&*server.state, server.connections, server.failures), ("up", 3, 6));
        assert_eq!((server.last_check, sum[0].queue), (Some(5.0), 4));
    }

    #[test]
    fn a_worker_that_has_exited_leaves_its_failures_to_servers_that_still_exist() {
        let mut sum = vec![upstream("down", 1, 5)];
        clear_open(&mut sum);
        let mut alone = sum.clone();
        remove_gone(&mut alone);
        assert!(alone.is_empty());
        add(&mut sum, &[upstream("up", 2, 1)]);
        remove_gone(&mut sum);
        let server = &sum[0].servers[0];
        assert_eq!((&*server.state, server.connections, server.failures), ("up", 2, 6));
    }
}
