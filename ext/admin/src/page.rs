//! The page at `/`, rendered completely by the server. The script of the page only fetches the page again
//! every second and applies the differences, so that no rendering code exists twice.

use crate::certificates;
use crate::chart::{bars, curve, share_bar};
use crate::failures::Failure;
use crate::format::{age, bytes, number, rate, seconds};
use crate::handshakes;
use crate::history::{Latency, Rates};
use crate::html::{CHART, Column, Html, NAME, NUMBER, WORD, element, table, text, text_element};
use crate::merge::total;
use crate::snapshot::{ListenerStats, NamedCount, SlowCall};
use crate::status::Status;
use crate::upstreams;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Seconds that a curve covers.
const CURVE_SECONDS: usize = 60;

/// Backends that the page lists.
pub const MAX_BACKENDS: usize = 20;

/// Kinds of failures that the pages list.
pub const MAX_FAILURE_GROUPS: usize = 20;

/// Sources and keys over a limit that the pages list.
pub const MAX_OVER_LIMITS: usize = 10;

/// Clients that the page lists for a kind of failure.
const MAX_CLIENTS: usize = 3;

/// Returns a new nonce for the content security policy: the browser then runs only the script of the page
/// itself.
pub fn nonce() -> String {
    let mut bytes = [0; 16];
    if random(&mut bytes) == bytes.len() {
        format!("{:032x}", u128::from_ne_bytes(bytes))
    } else {
        String::new()
    }
}

/// Fills `bytes` with random bytes; returns their number. getrandom(2) needs no file descriptor.
#[cfg(target_os = "linux")]
fn random(bytes: &mut [u8]) -> usize {
    rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty()).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn random(bytes: &mut [u8]) -> usize {
    use std::io::Read;
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read(bytes)).unwrap_or(0)
}

/// Returns the whole page.
pub fn render(status: &Status, nonce: &str) -> String {
    let body: Html = [header(status), content(status)].into_iter().collect();
    fill(TEMPLATE, |key| match key {
        "nonce" => nonce.into(),
        "title" => text(title(status)).as_str().into(),
        "style" => STYLE.into(),
        "script" => SCRIPT.into(),
        _ => body.as_str().into(),
    })
}

/// Replaces each `{{key}}` of the template.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut page: String = parts.next().unwrap_or_default().into();
    for part in parts {
        let (key, rest) = part.split_once("}}").unwrap_or((part, ""));
        page.push_str(&value(key));
        page.push_str(rest);
    }
    page
}

fn name(status: &Status) -> &str {
    match status.snapshot.program.name.as_str() {
        "" => "ProxyMachine",
        name => name,
    }
}

/// Returns the text of the browser's tab.
fn title(status: &Status) -> String {
    format!("{} · {}", number(status.snapshot.connections.current), name(status))
}

fn header(status: &Status) -> Html {
    let program = &status.snapshot.program;
    let state = status.snapshot.state.name();
    let facts = format!(
        "ProxyMachine {} · Ruby {} · pid {} · up {}",
        program.version,
        program.ruby,
        program.pid,
        age(program.uptime)
    );
    let pill = element("span", &[("class", "state"), ("data-state", state)], [text(state)]);
    let heading = element("h1", &[], [text(name(status))]);
    element("header", &[], [heading, pill, text_element("p", "facts", facts)])
}

fn content(status: &Status) -> Html {
    let snapshot = &status.snapshot;
    let mut sections = vec![tiles(status)];
    if !status.latencies.is_empty() {
        let cards: Html = status.latencies.iter().map(latency).collect();
        sections.push(section(
            "latencies",
            "Latency, last minute",
            element("div", &[("class", "cards")], [cards]),
        ));
    }
    if let Some(totals) = &status.totals {
        sections.push(section("listeners", "Listeners", listeners(&snapshot.listeners)));
        let ends = section("ends", "How connections ended", ends(status, totals));
        let decisions = section("decisions", "What the blocks answered", counts("Answer", &totals.decisions));
        let limits = section("limits", "Limits reached", counts("Setting", &totals.limits));
        let answers = element("div", &[], [decisions, limits]);
        sections.push(element("div", &[("class", "halves")], [ends, answers]));
    }
    if let Some(table) = status.totals.as_ref().and_then(|totals| handshakes::html(&totals.tls)) {
        sections.push(section("tls", "TLS handshakes", table));
    }
    if !snapshot.upstreams.is_empty() {
        sections.push(section("upstreams", "Upstreams", upstreams::html(snapshot)));
    }
    if status.totals.is_some() {
        sections.push(section("failures", "Recent failures", failures(status)));
    }
    if !snapshot.certificates.is_empty() {
        sections.push(section("certificates", "Certificates", certificates::html(&snapshot.certificates)));
    }

    if !snapshot.limits.over.is_empty() {
        sections.push(section("over", "Over a limit, last minutes", over_limits(status)));
    }
    if !snapshot.remotes.is_empty() {
        sections.push(section("remotes", "Backends", backends(status)));
    }
    if status.totals.is_some() {
        sections.push(section("slow", "Slow decisions", slow(status)));
    }
    sections.push(element(
        "div",
        &[("class", "halves")],
        [section("settings", "Settings", settings(status)), section("process", "Process", process(status))],
    ));
    element("main", &[("data-title", &title(status))], sections)
}

fn section(id: &str, title: &str, content: Html) -> Html {
    element("section", &[("id", id)], [element("h2", &[], [text(title)]), content])
}

/// Returns the tiles at the top: current rates with their curves.
fn tiles(status: &Status) -> Html {
    let connections = &status.snapshot.connections;
    let limit = connections.limit.map_or(String::new(), |limit| format!(" of {}", number(limit)));
    let peak = format!("peak {}{limit}", number(connections.max));
    let current = curve_of(status, "Connections", |second| second.current as f64);
    let mut tiles = vec![
        tile("tile", "Connections", number(connections.current), peak, current),
        rate_tile(status, "Accepted / s", rate, |second| second.accepted, number(connections.total)),
    ];
    if let Some(totals) = &status.totals {
        let [decisions, errors] = [total(&totals.decisions), totals.errors()].map(number);
        let [to_backends, to_clients] = [totals.bytes_in, totals.bytes_out].map(|count| bytes(count as f64));
        tiles.extend([
            rate_tile(status, "Decisions / s", rate, |second| second.decisions, decisions),
            rate_tile(status, "To backends / s", bytes, |second| second.bytes_in, to_backends),
            rate_tile(status, "To clients / s", bytes, |second| second.bytes_out, to_clients),
            rate_tile(status, "Errors / s", rate, |second| second.errors, errors),
        ]);
    }
    element("section", &[("id", "now"), ("class", "tiles")], tiles)
}

/// Returns a tile with a rate and its total.
fn rate_tile(
    status: &Status,
    label: &str,
    format: fn(f64) -> String,
    of: fn(&Rates) -> f64,
    sum: String,
) -> Html {
    let now = status.rates.as_ref().map(of);
    let is_alarming = label.starts_with("Errors") && now.is_some_and(|now| now > 0.0);
    let class = if is_alarming { "tile alarm" } else { "tile" };
    let shown = now.map_or("–".into(), format);
    tile(class, label, shown, format!("{sum} in all"), curve_of(status, label, of))
}

fn tile(class: &str, label: &str, value: String, small: String, curve: Html) -> Html {
    let texts = [
        text_element("span", "label", label),
        text_element("strong", "value", value),
        text_element("span", "small", small),
    ];
    element("div", &[("class", class)], texts.into_iter().chain([curve]))
}

fn curve_of(status: &Status, label: &str, of: fn(&Rates) -> f64) -> Html {
    let values: Vec<f64> = status.seconds.iter().map(of).collect();
    curve(&format!("{label}, last minute"), &values, CURVE_SECONDS)
}

fn latency(latency: &Latency) -> Html {
    let title = match latency.name {
        "queue_wait" => "Waiting for Ruby",
        "block_time" => "In the block",
        "connect_time" => "Connecting",
        _ => "To the first byte",
    };
    let shown = |value: Option<f64>| value.map_or("–".into(), seconds);
    let facts =
        [("median", latency.p50), ("90 %", latency.p90), ("99 %", latency.p99), ("mean", latency.mean)];
    let facts = facts.map(|(label, value)| {
        element("div", &[], [text_element("dt", "label", label), text_element("dd", "fact", shown(value))])
    });
    let bounds = &latency.histogram.bounds;
    let marks = [0, bounds.len() / 2, bounds.len().saturating_sub(1)];
    let marks = marks
        .map(|index| text_element("span", "mark", bounds.get(index).copied().map_or(String::new(), seconds)));
    element(
        "div",
        &[("class", "card")],
        [
            element("h3", &[], [text(title), text_element("span", "small", number(latency.count))]),
            element("dl", &[], facts),
            bars(&format!("{title}: how often which duration"), &latency.histogram),
            element("div", &[("class", "marks"), ("aria-hidden", "true")], marks),
        ],
    )
}

fn listeners(all: &[ListenerStats]) -> Html {
    const COLUMNS: [Column<'_>; 8] = [
        ("Listener", NAME),
        ("Address", NAME),
        ("Open", NUMBER),
        ("Accepted", NUMBER),
        ("To backends", NUMBER),
        ("To clients", NUMBER),
        ("Retries", NUMBER),
        ("Failed", NUMBER),
    ];
    let rows = all.iter().map(|listener| {
        let size = |count: u64| text(bytes(count as f64));
        vec![
            text(&listener.name),
            text(&listener.address),
            text(number(listener.current)),
            text(number(listener.accepted)),
            size(listener.bytes_in),
            size(listener.bytes_out),
            text(number(listener.retries)),
            text(number(listener.connect_failures)),
        ]
    });
    table(&COLUMNS, rows)
}

/// Returns the termination codes, those with recent failures as links to them.
fn ends(status: &Status, totals: &ListenerStats) -> Html {
    let ends = totals.ends_by_count();
    let all = ends.iter().map(|end| end.count).fold(0, u64::saturating_add);
    let rows = ends.into_iter().map(|end| {
        let share = end.count as f64 / all as f64;
        let class = if end.is_error { "error" } else { "bar" };
        let label = format!("{:.1} %", share * 100.0);
        let advice = format!("{}. Remedy: {}.", end.cause, end.remedy);
        let code = element("code", &[("class", class), ("title", &advice)], [text(&end.code)]);
        let has_failures = status.snapshot.failures.groups.iter().any(|group| group.kind.code == end.code);
        let link = format!("#{}", failure_anchor(&end.code));
        vec![
            if has_failures { element("a", &[("href", &link)], [code]) } else { code },
            text(&end.meaning),
            share_bar(&label, share, class),
            text(number(end.count)),
        ]
    });
    table_or_none(&[("Code", NAME), ("Meaning", NAME), ("Share", CHART), ("Connections", NUMBER)], rows)
}

fn counts(what: &str, counts: &[NamedCount]) -> Html {
    let all = total(counts).max(1);
    let rows = counts.iter().filter(|count| count.count > 0).map(|count| {
        let share = count.count as f64 / all as f64;
        let (name, bar) = if count.is_error() { ("failed", "error") } else { ("name", "bar") };
        vec![
            text_element("span", name, &count.name),
            share_bar(&format!("{:.1} %", share * 100.0), share, bar),
            text(number(count.count)),
        ]
    });
    table_or_none(&[(what, NAME), ("Share", CHART), ("How often", NUMBER)], rows)
}

fn backends(status: &Status) -> Html {
    const COLUMNS: [Column<'_>; 6] = [
        ("Backend", NAME),
        ("Open", NUMBER),
        ("Connected", NUMBER),
        ("Failed", NUMBER),
        ("To it", NUMBER),
        ("From it", NUMBER),
    ];
    let all = &status.snapshot.remotes;
    let rows = all.iter().take(MAX_BACKENDS).map(|backend| {
        let failed = if backend.failed > 0 { "failed" } else { "none" };
        vec![
            text(&backend.name),
            text(number(backend.current)),
            text(number(backend.connected)),
            text_element("span", failed, number(backend.failed)),
            text(bytes(backend.bytes_in as f64)),
            text(bytes(backend.bytes_out as f64)),
        ]
    });
    let more = all.len().saturating_sub(MAX_BACKENDS);
    let more = (more > 0).then(|| text_element("p", "small", format!("and {more} more: metrics?remotes=1")));
    [table(&COLUMNS, rows)].into_iter().chain(more).collect()
}

/// Returns the sources and keys that were over a limit.
fn over_limits(status: &Status) -> Html {
    const COLUMNS: [Column<'_>; 5] =
        [("Source or key", NAME), ("Limit", NAME), ("Allowed", NUMBER), ("Open", NUMBER), ("Closed", NUMBER)];
    let rows = status.snapshot.limits.over.iter().take(MAX_OVER_LIMITS).map(|over| {
        vec![
            text(&over.name),
            text(&over.limit),
            text(number(over.max)),
            text(number(over.current)),
            text(number(over.closed)),
        ]
    });
    table(&COLUMNS, rows)
}

fn slow(status: &Status) -> Html {
    const COLUMNS: [Column<'_>; 7] = [
        ("When", NAME),
        ("Client", NAME),
        ("Listener", WORD),
        ("Block", WORD),
        ("Answer", NAME),
        ("Waited", NUMBER),
        ("Took", NUMBER),
    ];
    let program = &status.snapshot.program;
    let now = program.started + program.uptime;
    let rows = status.snapshot.slow.iter().map(|slow: &SlowCall| {
        vec![
            text(format!("{} ago", age(now - slow.at))),
            text(&slow.client),
            text(&slow.listener),
            text(&slow.block),
            text(&slow.answer),
            text(seconds(slow.queue_wait)),
            text(seconds(slow.block_time)),
        ]
    });
    table_or_none(&COLUMNS, rows)
}

/// Returns the anchor of the recent failures with a termination code.
fn failure_anchor(code: &str) -> String {
    format!("failures-{code}")
}

/// Returns the kinds of failures, each with its last connections.
fn failures(status: &Status) -> Html {
    const COLUMNS: [Column<'_>; 6] = [
        ("Code", NAME),
        ("Backend, reason", NAME),
        ("Listener", WORD),
        ("How often", NAME),
        ("Last", WORD),
        ("Last clients, ms", NAME),
    ];
    let program = &status.snapshot.program;
    let now = program.started + program.uptime;
    let failures = &status.snapshot.failures;
    let ends = status.totals.as_ref().map_or(&[][..], |totals| &totals.ends);
    let mut codes: Vec<&str> = Vec::new();
    let rows = failures.groups.iter().take(MAX_FAILURE_GROUPS).map(|group| {
        let kind = &group.kind;
        let anchor = failure_anchor(&kind.code);
        let mut attributes = vec![("class", "error")];
        if !codes.contains(&&*kind.code) {
            codes.push(&kind.code);
            attributes.push(("id", anchor.as_str()));
        }
        let clients = failures.of(kind).take(MAX_CLIENTS).map(|failure: &Failure| {
            let Failure { client, connection, times, .. } = failure;
            text_element("div", "client", format!("{client} {connection} {}", times.text()))
        });
        vec![
            element("code", &attributes, [text(&kind.code)]),
            text(kind.summary(ends)),
            text(&kind.listener),
            text(group.frequency()),
            text(format!("{} ago", age(now - group.last))),
            clients.collect(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let more = failures.groups.len().saturating_sub(MAX_FAILURE_GROUPS);
    let more = (more > 0).then(|| text_element("p", "small", format!("and {more} more: status.json")));
    [table_or_none(&COLUMNS, rows)].into_iter().chain(more).collect()
}

fn settings(status: &Status) -> Html {
    let rows = status.snapshot.settings.iter().map(|setting| vec![text(&setting.name), text(&setting.value)]);
    table_or_none(&[("Setting", NAME), ("Value", NUMBER)], rows)
}

fn process(status: &Status) -> Html {
    let mut facts = Vec::new();
    if let Some(process) = &status.process {
        let limit = process.max_fds.map_or("no limit".into(), number);
        facts.extend([
            ("Memory", bytes(process.resident_bytes as f64)),
            ("Processor", seconds(process.cpu_seconds)),
            ("Threads", number(process.threads)),
            ("Descriptors", format!("{} of {limit}", number(process.open_fds))),
        ]);
    }
    if let Some(lost) = status.snapshot.log_lines_dropped {
        facts.push(("Log lines lost", number(lost)));
    }
    table_or_none(
        &[("What", NAME), ("Now", NUMBER)],
        facts.into_iter().map(|(what, now)| vec![text(what), text(now)]),
    )
}

fn table_or_none(columns: &[Column<'_>], rows: impl IntoIterator<Item = Vec<Html>>) -> Html {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return text_element("p", "empty", "None so far.");
    }
    table(columns, rows)
}
