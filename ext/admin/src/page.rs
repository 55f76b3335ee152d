//! The page for people. It is complete as it is sent; its script only fetches it again each second and takes
//! over what has changed, so that nothing is drawn in two languages.

use std::cmp::Reverse;

use crate::chart::{bars, curve, part};
use crate::counting::total;
use crate::format::{age, bytes, number, rate, seconds};
use crate::history::{Latency, Rates};
use crate::html::{CHART, Column, Html, NAME, NUMBER, WORD, element, labelled, table, text};
use crate::snapshot::{Count, Listener, Slow};
use crate::status::Status;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Seconds that a curve is wide.
const CURVE: usize = 60;

/// So many backends are shown.
const REMOTES: usize = 20;

/// What makes the page's own style and script known from any that somebody smuggled in. New for each page.
pub fn nonce() -> String {
    let mut bytes = [0; 16];
    if random(&mut bytes) == bytes.len() {
        format!("{:032x}", u128::from_ne_bytes(bytes))
    } else {
        String::new()
    }
}

/// Puts there what nobody can guess; returns how many bytes. Linux needs no descriptor for it.
#[cfg(target_os = "linux")]
fn random(bytes: &mut [u8]) -> usize {
    rustix::rand::getrandom(bytes, rustix::rand::GetRandomFlags::empty()).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn random(bytes: &mut [u8]) -> usize {
    use std::io::Read;
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read(bytes)).unwrap_or(0)
}

/// The whole page.
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

/// Replaces each `{{key}}`.
fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut pieces = template.split("{{");
    let mut page: String = pieces.next().unwrap_or_default().into();
    for piece in pieces {
        let (key, rest) = piece.split_once("}}").unwrap_or((piece, ""));
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

/// What a browser shows on its tab.
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
    element("header", &[], [heading, pill, labelled("p", "facts", facts)])
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
        let ends = section("ends", "How connections ended", ends(totals));
        let decisions = section("decisions", "What the blocks answered", counts("Answer", &totals.decisions));
        let limits = section("limits", "Limits reached", counts("Setting", &totals.limits));
        let answers = element("div", &[], [decisions, limits]);
        sections.push(element("div", &[("class", "halves")], [ends, answers]));
    }
    if !snapshot.remotes.is_empty() {
        sections.push(section("remotes", "Backends", remotes(status)));
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

/// The numbers that are looked at first.
fn tiles(status: &Status) -> Html {
    let connections = &status.snapshot.connections;
    let limit = connections.limit.map_or(String::new(), |limit| format!(" of {}", number(limit)));
    let peak = format!("peak {}{limit}", number(connections.max));
    let current = curve_of(status, "Connections", |second| second.current as f64);
    let mut tiles = vec![
        tile("tile", "Connections", number(connections.current), peak, current),
        flow(status, "Accepted / s", rate, |second| second.accepted, number(connections.total)),
    ];
    if let Some(totals) = &status.totals {
        let [decided, errors] = [total(&totals.decisions), totals.errors()].map(number);
        let [uploaded, downloaded] = [totals.bytes_in, totals.bytes_out].map(|count| bytes(count as f64));
        tiles.extend([
            flow(status, "Decisions / s", rate, |second| second.decisions, decided),
            flow(status, "To backends / s", bytes, |second| second.bytes_in, uploaded),
            flow(status, "To clients / s", bytes, |second| second.bytes_out, downloaded),
            flow(status, "Errors / s", rate, |second| second.errors, errors),
        ]);
    }
    element("section", &[("id", "now"), ("class", "tiles")], tiles)
}

/// How much of something there is in a second, and how much there was in all.
fn flow(status: &Status, label: &str, format: fn(f64) -> String, of: fn(&Rates) -> f64, sum: String) -> Html {
    let now = status.rates.as_ref().map(of);
    let is_alarming = label.starts_with("Errors") && now.is_some_and(|now| now > 0.0);
    let class = if is_alarming { "tile alarm" } else { "tile" };
    let shown = now.map_or("–".into(), format);
    tile(class, label, shown, format!("{sum} in all"), curve_of(status, label, of))
}

fn tile(class: &str, label: &str, value: String, small: String, curve: Html) -> Html {
    let texts = [
        labelled("span", "label", label),
        labelled("strong", "value", value),
        labelled("span", "small", small),
    ];
    element("div", &[("class", class)], texts.into_iter().chain([curve]))
}

fn curve_of(status: &Status, label: &str, of: fn(&Rates) -> f64) -> Html {
    let values: Vec<f64> = status.seconds.iter().map(of).collect();
    curve(&format!("{label}, last minute"), &values, CURVE)
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
        element("div", &[], [labelled("dt", "label", label), labelled("dd", "fact", shown(value))])
    });
    let bounds = &latency.histogram.bounds;
    let marks = [0, bounds.len() / 2, bounds.len().saturating_sub(1)];
    let marks = marks
        .map(|index| labelled("span", "mark", bounds.get(index).copied().map_or(String::new(), seconds)));
    element(
        "div",
        &[("class", "card")],
        [
            element("h3", &[], [text(title), labelled("span", "small", number(latency.count))]),
            element("dl", &[], facts),
            bars(&format!("{title}: how often which duration"), &latency.histogram),
            element("div", &[("class", "marks"), ("aria-hidden", "true")], marks),
        ],
    )
}

fn listeners(all: &[Listener]) -> Html {
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

fn ends(totals: &Listener) -> Html {
    let mut ends: Vec<_> = totals.ends.iter().filter(|end| end.count > 0).collect();
    ends.sort_by_key(|end| Reverse(end.count));
    let all: u64 = ends.iter().map(|end| end.count).sum();
    let rows = ends.into_iter().map(|end| {
        let share = end.count as f64 / all as f64;
        let class = if end.is_error { "error" } else { "bar" };
        let label = format!("{:.1} %", share * 100.0);
        vec![
            labelled("code", class, &end.code),
            text(&end.meaning),
            part(&label, share, class),
            text(number(end.count)),
        ]
    });
    table_or_none(&[("Code", NAME), ("Meaning", NAME), ("Share", CHART), ("Connections", NUMBER)], rows)
}

fn counts(what: &str, counts: &[Count]) -> Html {
    let all = total(counts).max(1);
    let rows = counts.iter().filter(|count| count.count > 0).map(|count| {
        let share = count.count as f64 / all as f64;
        let (name, bar) = if count.is_error() { ("failed", "error") } else { ("name", "bar") };
        vec![
            labelled("span", name, &count.name),
            part(&format!("{:.1} %", share * 100.0), share, bar),
            text(number(count.count)),
        ]
    });
    table_or_none(&[(what, NAME), ("Share", CHART), ("How often", NUMBER)], rows)
}

fn remotes(status: &Status) -> Html {
    const COLUMNS: [Column<'_>; 6] = [
        ("Backend", NAME),
        ("Open", NUMBER),
        ("Connected", NUMBER),
        ("Failed", NUMBER),
        ("To it", NUMBER),
        ("From it", NUMBER),
    ];
    let all = &status.snapshot.remotes;
    let rows = all.iter().take(REMOTES).map(|remote| {
        let failed = if remote.failed > 0 { "failed" } else { "none" };
        vec![
            text(&remote.name),
            text(number(remote.current)),
            text(number(remote.connected)),
            labelled("span", failed, number(remote.failed)),
            text(bytes(remote.bytes_in as f64)),
            text(bytes(remote.bytes_out as f64)),
        ]
    });
    let more = all.len().saturating_sub(REMOTES);
    let more = (more > 0).then(|| labelled("p", "small", format!("and {more} more: metrics?remotes=1")));
    [table(&COLUMNS, rows)].into_iter().chain(more).collect()
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
    let rows = status.snapshot.slow.iter().map(|slow: &Slow| {
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
        return labelled("p", "empty", "None so far.");
    }
    table(columns, rows)
}
