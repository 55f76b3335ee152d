//! The outcomes of connections, and their checks.

use crate::kinds::Kind;
use crate::plan::{Expected, Plan, sent};
use crate::script::{End, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

/// The outcomes of a phase.
#[derive(Default)]
pub struct Outcomes {
    clients: Vec<(Plan, Outcome)>,
    servers: HashMap<u64, Outcome>,
    pub unexpected: Vec<String>,
}

/// The checked outcomes of a phase.
#[derive(Default)]
struct Summary {
    kinds: BTreeMap<Kind, u64>,
    up: u64,
    down: u64,
    /// Connections that a drain turned away.
    turned_away: u64,
    /// The longest connection, in seconds.
    longest: Option<(f64, Kind)>,
    failures: Vec<String>,
}

impl Outcomes {
    pub fn client(&mut self, plan: Plan, outcome: Outcome) {
        self.clients.push((plan, outcome));
    }

    /// Records the backend's outcome. Each number must occur once.
    pub fn server(&mut self, number: u64, outcome: Outcome) {
        if self.servers.insert(number, outcome).is_some() {
            self.unexpected.push(format!("connection {number} came to the backend twice"));
        }
    }

    /// Returns one line of JSON. During a drain, connections may be turned away.
    pub fn report(mut self, seconds: Duration, draining: bool) -> String {
        let mut summary = Summary { failures: std::mem::take(&mut self.unexpected), ..Summary::default() };
        for (plan, client) in &self.clients {
            let server = self.servers.get(&plan.number);
            if draining && server.is_none() && client.received == 0 && !client.fatal {
                summary.turned_away += 1;
                continue;
            }
            *summary.kinds.entry(plan.kind).or_default() += 1;
            let took = (client.took.as_secs_f64(), plan.kind);
            if summary.longest.is_none_or(|(longest, _)| longest < took.0) {
                summary.longest = Some(took);
            }
            summary.down += client.received;
            summary.up += server.map_or(0, |server| server.received);
            if let Err(what) = judge(plan, client, server) {
                let (number, kind) = (plan.number, plan.kind.name());
                summary.failures.push(format!("connection {number} ({kind}): {what}; planned: {plan:?}; client: {client:?}; server: {server:?}"));
            }
        }
        summary.to_json(self.clients.len(), seconds)
    }
}

fn judge(plan: &Plan, client: &Outcome, server: Option<&Outcome>) -> Result<(), String> {
    due("client", plan.down, sent(&plan.server), client)?;
    match (plan.up, server) {
        (Expected::Nothing | Expected::Beginning, None) => Ok(()),
        (_, None) => Err("it never reached the backend".into()),
        (Expected::Nothing, Some(_)) => Err("it reached the backend".into()),
        (up, Some(server)) => due("server", up, sent(&plan.client), server),
    }
}

fn due(who: &str, due: Expected, total: u64, outcome: &Outcome) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{who}: {what}"));
    if let (Some(error_text), true) = (&outcome.error_text, outcome.fatal || due == Expected::All) {
        return wrong(error_text.clone());
    }
    if outcome.received > total {
        return wrong(format!("got {} of {total} bytes", outcome.received));
    }
    match due {
        Expected::All | Expected::AllThenAny if outcome.received < total => {
            wrong(format!("got {} of {total} bytes", outcome.received))
        }
        Expected::All if outcome.end != Some(End::Closed) => wrong(format!("its end was {:?}", outcome.end)),
        _ => Ok(()),
    }
}

impl Summary {
    fn to_json(&self, opened: usize, seconds: Duration) -> String {
        let kinds: Vec<String> =
            self.kinds.iter().map(|(kind, count)| format!("\"{}\":{count}", kind.name())).collect();
        let failures: Vec<String> = self.failures.iter().take(20).map(|text| quoted(text)).collect();
        let (longest, slow) = self.longest.map_or((0.0, ""), |(longest, kind)| (longest, kind.name()));
        format!(
            "{{\"longest\":{longest:.2},\"longest_kind\":\"{slow}\",\"opened\":{opened},\"seconds\":{:.2},\"up\":{},\"down\":{},\"turned_away\":{},\"failed\":{},\"kinds\":{{{}}},\"failures\":[{}]}}",
            seconds.as_secs_f64(),
            self.up,
            self.down,
            self.turned_away,
            self.failures.len(),
            kinds.join(","),
            failures.join(",")
        )
    }
}

/// Quotes a text for JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => write!(out, "\\u{:04x}", c as u32).expect("writing to a String"),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::plan;

    /// A plan in which all data must arrive, with successful outcomes.
    fn well() -> (Plan, Outcome, Outcome) {
        let plan = plan(1, 1, &[(Kind::Talk, 1)]);
        let received =
            |actions: &_| Outcome { received: sent(actions), end: Some(End::Closed), ..Outcome::default() };
        let (client, server) = (received(&plan.server), received(&plan.client));
        (plan, client, server)
    }

    #[test]
    fn successful_outcomes_pass() {
        let (plan, client, server) = well();
        assert_eq!(judge(&plan, &client, Some(&server)), Ok(()));
    }

    #[test]
    fn a_missing_byte_a_reset_and_an_absent_backend_are_faults() {
        let (plan, client, server) = well();
        let short = Outcome { received: server.received - 1, end: Some(End::Closed), ..Outcome::default() };
        assert!(judge(&plan, &client, Some(&short)).is_err());
        assert!(judge(&plan, &short, Some(&server)).is_err());
        let cut = Outcome { received: client.received, end: Some(End::Reset), ..Outcome::default() };
        assert!(judge(&plan, &cut, Some(&server)).is_err());
        assert!(judge(&plan, &client, None).is_err());
    }

    #[test]
    fn wrong_bytes_are_a_fault_even_if_only_a_prefix_is_expected() {
        let outcome = Outcome { error_text: Some("wrong bytes".into()), fatal: true, ..Outcome::default() };
        assert!(due("client", Expected::Beginning, 10, &outcome).is_err());
    }

    #[test]
    fn a_refused_connection_must_not_reach_the_backend() {
        let plan = plan(1, 1, &[(Kind::Raises, 1)]);
        let ended = Outcome { end: Some(End::Closed), ..Outcome::default() };
        assert_eq!(judge(&plan, &ended, None), Ok(()));
        assert!(judge(&plan, &ended, Some(&Outcome::default())).is_err());
    }
}
