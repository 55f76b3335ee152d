//! What was done, and judgement on it.

use crate::kinds::Kind;
use crate::plan::{Due, Plan, sent};
use crate::play::{End, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::Duration;

/// Of a stretch of the run.
#[derive(Default)]
pub struct Ledger {
    clients: Vec<(Plan, Outcome)>,
    servers: HashMap<u64, Outcome>,
    pub strangers: Vec<String>,
}

/// As judged.
#[derive(Default)]
struct Tally {
    kinds: BTreeMap<Kind, u64>,
    up: u64,
    down: u64,
    /// Connections that a drain did not let in.
    turned_away: u64,
    /// The connection that took longest, in seconds.
    longest: Option<(f64, Kind)>,
    failures: Vec<String>,
}

impl Ledger {
    pub fn client(&mut self, plan: Plan, outcome: Outcome) {
        self.clients.push((plan, outcome));
    }

    /// A number comes once.
    pub fn server(&mut self, number: u64, outcome: Outcome) {
        if self.servers.insert(number, outcome).is_some() {
            self.strangers.push(format!("connection {number} came to the backend twice"));
        }
    }

    /// One line of JSON. While draining, connections that did not reach the backend may be turned away.
    pub fn report(mut self, seconds: Duration, draining: bool) -> String {
        let mut tally = Tally { failures: std::mem::take(&mut self.strangers), ..Tally::default() };
        for (plan, client) in &self.clients {
            let server = self.servers.get(&plan.number);
            if draining && server.is_none() && client.heard == 0 && !client.fatal {
                tally.turned_away += 1;
                continue;
            }
            *tally.kinds.entry(plan.kind).or_default() += 1;
            let took = (client.took.as_secs_f64(), plan.kind);
            if tally.longest.is_none_or(|(longest, _)| longest < took.0) {
                tally.longest = Some(took);
            }
            tally.down += client.heard;
            tally.up += server.map_or(0, |server| server.heard);
            if let Err(what) = judge(plan, client, server) {
                let (number, kind) = (plan.number, plan.kind.name());
                tally.failures.push(format!("connection {number} ({kind}): {what}; planned: {plan:?}; client: {client:?}; server: {server:?}"));
            }
        }
        tally.to_json(self.clients.len(), seconds)
    }
}

fn judge(plan: &Plan, client: &Outcome, server: Option<&Outcome>) -> Result<(), String> {
    due("client", plan.down, sent(&plan.server), client)?;
    match (plan.up, server) {
        (Due::Nothing | Due::Beginning, None) => Ok(()),
        (_, None) => Err("it never reached the backend".into()),
        (Due::Nothing, Some(_)) => Err("it reached the backend".into()),
        (up, Some(server)) => due("server", up, sent(&plan.client), server),
    }
}

fn due(who: &str, due: Due, total: u64, outcome: &Outcome) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{who}: {what}"));
    if let (Some(trouble), true) = (&outcome.trouble, outcome.fatal || due == Due::All) {
        return wrong(trouble.clone());
    }
    if outcome.heard > total {
        return wrong(format!("got {} of {total} bytes", outcome.heard));
    }
    match due {
        Due::All | Due::AllThenAny if outcome.heard < total => {
            wrong(format!("got {} of {total} bytes", outcome.heard))
        }
        Due::All if outcome.end != Some(End::Closed) => wrong(format!("its end was {:?}", outcome.end)),
        _ => Ok(()),
    }
}

impl Tally {
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

/// As JSON wants it.
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

    /// A plan where everything is due, and what comes when it goes well.
    fn well() -> (Plan, Outcome, Outcome) {
        let plan = plan(1, 1, &[(Kind::Talk, 1)]);
        let heard = |acts: &_| Outcome { heard: sent(acts), end: Some(End::Closed), ..Outcome::default() };
        let (client, server) = (heard(&plan.server), heard(&plan.client));
        (plan, client, server)
    }

    #[test]
    fn what_went_well_passes() {
        let (plan, client, server) = well();
        assert_eq!(judge(&plan, &client, Some(&server)), Ok(()));
    }

    #[test]
    fn a_missing_byte_a_reset_and_an_absent_backend_are_faults() {
        let (plan, client, server) = well();
        let short = Outcome { heard: server.heard - 1, end: Some(End::Closed), ..Outcome::default() };
        assert!(judge(&plan, &client, Some(&short)).is_err());
        assert!(judge(&plan, &short, Some(&server)).is_err());
        let cut = Outcome { heard: client.heard, end: Some(End::Reset), ..Outcome::default() };
        assert!(judge(&plan, &cut, Some(&server)).is_err());
        assert!(judge(&plan, &client, None).is_err());
    }

    #[test]
    fn wrong_bytes_are_a_fault_even_where_only_a_beginning_is_due() {
        let outcome = Outcome { trouble: Some("wrong bytes".into()), fatal: true, ..Outcome::default() };
        assert!(due("client", Due::Beginning, 10, &outcome).is_err());
    }

    #[test]
    fn a_refused_connection_must_not_reach_the_backend() {
        let plan = plan(1, 1, &[(Kind::Raises, 1)]);
        let ended = Outcome { end: Some(End::Closed), ..Outcome::default() };
        assert_eq!(judge(&plan, &ended, None), Ok(()));
        assert!(judge(&plan, &ended, Some(&Outcome::default())).is_err());
    }
}
