//! The kinds of connections with their shares and plans.

use crate::plan::Action::{Drip, End, Pause, Receive, ReceiveEnd, Reset, Send};
use crate::plan::{Action, Expected, Plan, sent};
use crate::random::Random;

const MIB: u64 = 1 << 20;

macro_rules! kinds {
    ($($name:ident $words:literal $share:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($name),* }

        impl Kind {
            /// Each kind with its share, in about a thousand.
            pub const ALL: &[(Kind, u64)] = &[$((Kind::$name, $share)),*];

            pub fn name(self) -> &'static str {
                match self { $(Kind::$name => $words),* }
            }
        }
    };
}

kinds! {
    Short "short" 300
    Talk "talk" 120
    Bulk "bulk" 25
    ClientEndsFirst "client-ends-first" 70
    ServerEndsFirst "server-ends-first" 70
    Drip "drip" 40
    Pieces "pieces" 80
    Greeted "greeted" 30
    Words "words" 60
    Shut "shut" 40
    ClientLeaves "client-leaves" 80
    ServerResets "server-resets" 60
    Abrupt "abrupt" 40
    Silent "silent" 30
    Undecided "undecided" 30
    Raises "raises" 30
    Nonsense "nonsense" 25
    Mute "mute" 20
    Inactive "inactive" 8
    Refused "refused" 6
    RefusedLeft "refused-left" 6
}

impl Kind {
    /// The kinds in which every byte must arrive. A drain runs these.
    pub const LOSSLESS: &[Kind] =
        &[Kind::Talk, Kind::Bulk, Kind::ClientEndsFirst, Kind::ServerEndsFirst, Kind::Drip, Kind::Pieces];
}

/// Plans connection `number`, of one of the selected kinds.
pub fn plan(seed: u64, number: u64, selected: &[(Kind, u64)]) -> Plan {
    let mut random = Random::of(seed, number);
    let mut lot = random.within(0..=selected.iter().map(|(_, share)| share).sum::<u64>() - 1);
    let (kind, _) = *selected
        .iter()
        .find(|(_, share)| {
            let found = lot < *share;
            lot = lot.saturating_sub(*share);
            found
        })
        .expect("the lot is less than all shares together");
    make(number, kind, &mut random)
}

fn make(number: u64, kind: Kind, random: &mut Random) -> Plan {
    let mut plan = Plan::new(number, kind, random);
    match kind {
        Kind::Short => short(&mut plan, random),
        Kind::Talk => talk(&mut plan, random),
        Kind::Bulk => bulk(&mut plan, random),
        Kind::ClientEndsFirst => client_ends_first(&mut plan, random),
        Kind::ServerEndsFirst => server_ends_first(&mut plan, random),
        Kind::Drip => drip(&mut plan, random),
        Kind::Pieces => pieces(&mut plan, random),
        Kind::Greeted => {
            plan.route = "greet";
            short(&mut plan, random);
        }
        Kind::Words => refused(&mut plan, "words", random),
        Kind::Shut => refused(&mut plan, "shut", random),
        Kind::Raises => refused(&mut plan, "raise", random),
        Kind::Nonsense => refused(&mut plan, "odd", random),
        Kind::Refused => refused(&mut plan, "refuse", random),
        Kind::ClientLeaves => client_leaves(&mut plan, random),
        Kind::ServerResets => server_resets(&mut plan, random),
        Kind::Abrupt => undecided(&mut plan, 0, vec![Reset]),
        Kind::Silent => {
            let pause = Pause(random.within(0..=300));
            let actions = vec![pause, leave(random)];
            undecided(&mut plan, 0, actions);
        }
        Kind::Undecided => {
            let cut = random.within(1..=9) as usize;
            let actions = vec![Pause(random.within(0..=50)), leave(random)];
            undecided(&mut plan, cut, actions);
        }
        Kind::Mute => {
            client_only_waits(&mut plan, "join", Expected::Beginning);
            if random.one_in(2) {
                plan.server.push(Pause(random.within(0..=20)));
            }
        }
        Kind::Inactive => {
            client_only_waits(&mut plan, "hurry", Expected::Beginning);
            plan.server.push(ReceiveEnd);
        }
        Kind::RefusedLeft => {
            client_only_waits(&mut plan, "refuse", Expected::Nothing);
            plan.client = vec![Pause(random.within(0..=900)), leave(random)];
            plan.down = Expected::Beginning;
        }
    }
    plan
}

/// One request and one reply; the server closes.
fn short(plan: &mut Plan, random: &mut Random) {
    let (up, down) = (random.within(0..=2000), random.size(1..=4000));
    plan.client = vec![Send(up), ReceiveEnd];
    plan.server = vec![Receive(up), Send(down)];
    plan.up = Expected::AllThenAny;
}

/// A long-lived connection: messages there and back until the client closes.
fn talk(plan: &mut Plan, random: &mut Random) {
    let (mut up, mut down) = (0, 0);
    for _ in 0..random.within(2..=10) {
        let (there, back) = (random.size(1..=20_000), random.size(1..=20_000));
        (up, down) = (up + there, down + back);
        plan.client.extend([Send(there), Receive(down)]);
        plan.server.extend([Receive(up), Send(back)]);
        if random.one_in(2) {
            plan.client.push(Pause(random.within(1..=40)));
        }
    }
    plan.client.extend([End, ReceiveEnd]);
    plan.server.push(ReceiveEnd);
}

/// Mebibytes both ways at once. Some readers are slow.
fn bulk(plan: &mut Plan, random: &mut Random) {
    // With small buffers, the transfer is slow already.
    let mut pace = || if random.one_in(3) && !plan.small_buffers { random.within(1..=4) } else { 0 };
    plan.pace = (pace(), pace());
    let most = if plan.small_buffers { MIB / 2 } else { 4 * MIB };
    plan.client = vec![Send(random.size(MIB / 16..=most)), End, ReceiveEnd];
    plan.server = vec![Send(random.size(MIB / 16..=most)), ReceiveEnd];
}

/// The client half-closes, perhaps before the decision, and still receives its reply.
fn client_ends_first(plan: &mut Plan, random: &mut Random) {
    let up = if random.one_in(4) { 0 } else { random.size(1..=200_000) };
    plan.client = vec![Send(up), End, ReceiveEnd];
    plan.server = vec![ReceiveEnd, Pause(random.within(0..=30)), Send(random.size(1..=200_000))];
}

/// The server closes first. Its data arrives, and the connection ends. Data that the client is
/// still sending is lost.
fn server_ends_first(plan: &mut Plan, random: &mut Random) {
    let (up, down) = (random.size(1..=200_000), random.size(1..=200_000));
    plan.client = vec![Send(up), ReceiveEnd];
    if random.one_in(2) {
        plan.server = vec![Receive(up), Send(down), End, ReceiveEnd];
        plan.up = Expected::AllThenAny;
    } else {
        plan.server = vec![Send(down), End, ReceiveEnd];
        plan.up = Expected::Beginning;
        plan.down = Expected::AllThenAny;
    }
}

/// One byte at a time.
fn drip(plan: &mut Plan, random: &mut Random) {
    let (up, down) = (random.within(1..=100), random.within(1..=100));
    plan.head_byte_by_byte = true;
    plan.client = vec![Drip(up), ReceiveEnd];
    plan.server = vec![Receive(up), Drip(down)];
    plan.up = Expected::AllThenAny;
}

/// Several chunks before the block decides.
fn pieces(plan: &mut Plan, random: &mut Random) {
    plan.route = "hold";
    for _ in 0..random.within(2..=6) {
        plan.client.extend([Pause(random.within(0..=8)), Send(random.size(1..=20_000))]);
    }
    let up = sent(&plan.client);
    plan.hold = random.within(1..=up);
    plan.client.push(ReceiveEnd);
    plan.server = vec![Receive(up), Send(random.size(1..=20_000))];
    plan.up = Expected::AllThenAny;
}

/// The block closes or the dial fails. The client may send data that is never read.
fn refused(plan: &mut Plan, route: &'static str, random: &mut Random) {
    client_only_waits(plan, route, Expected::Nothing);
    if random.one_in(3) {
        plan.client.insert(0, Send(random.size(1..=50_000)));
        plan.down = Expected::AllThenAny; // unread data turns the close into a reset
    }
}

/// The client sends its head and waits for the end.
fn client_only_waits(plan: &mut Plan, route: &'static str, up: Expected) {
    plan.route = route;
    plan.client = vec![ReceiveEnd];
    plan.up = up;
}

/// The client sends `cut` bytes of its head and disconnects.
fn undecided(plan: &mut Plan, cut: usize, actions: Vec<Action>) {
    plan.head_cut = Some(cut);
    plan.client = actions;
    plan.up = Expected::Nothing;
    plan.down = Expected::Beginning;
}

/// A connection of a lossless kind from which the client disconnects early.
fn client_leaves(plan: &mut Plan, random: &mut Random) {
    lossless(plan, random);
    cut_short(&mut plan.client, random);
    plan.client.push(leave(random));
}

/// A connection of a lossless kind that the server resets early.
fn server_resets(plan: &mut Plan, random: &mut Random) {
    lossless(plan, random);
    cut_short(&mut plan.server, random);
    plan.server.push(Reset);
}

fn lossless(plan: &mut Plan, random: &mut Random) {
    let makes: [fn(&mut Plan, &mut Random); 7] =
        [short, talk, talk, bulk, client_ends_first, server_ends_first, pieces];
    random.pick(&makes)(plan, random);
    (plan.up, plan.down) = (Expected::Beginning, Expected::Beginning);
}

fn cut_short(actions: &mut Vec<Action>, random: &mut Random) {
    actions.truncate(random.within(0..=actions.len() as u64 - 1) as usize + 1);
    if let Some(Send(count)) = actions.last_mut() {
        *count = random.within(0..=*count);
    }
    if matches!(actions.last(), Some(ReceiveEnd)) {
        actions.pop();
    }
    actions.push(Pause(random.within(0..=20)));
}

/// Disconnects by a reset or a close.
fn leave(random: &mut Random) -> Action {
    if random.one_in(2) { Reset } else { Pause(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_always_has_the_same_plan() {
        for number in 0..1000 {
            let (one, other) = (plan(7, number, Kind::ALL), plan(7, number, Kind::ALL));
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }

    #[test]
    fn every_kind_occurs() {
        let come: std::collections::HashSet<Kind> =
            (0..5000).map(|number| plan(7, number, Kind::ALL).kind).collect();
        assert_eq!(come.len(), Kind::ALL.len());
    }

    #[test]
    fn nobody_waits_for_bytes_that_nobody_sends() {
        for number in 0..5000 {
            let plan = plan(7, number, Kind::ALL);
            let received = |actions: &[Action]| {
                actions.iter().map(|action| if let Receive(n) = action { *n } else { 0 }).max()
            };
            assert!(
                plan.up == Expected::Beginning || received(&plan.server) <= Some(sent(&plan.client)),
                "{plan:?}"
            );
            assert!(
                plan.down == Expected::Beginning || received(&plan.client) <= Some(sent(&plan.server)),
                "{plan:?}"
            );
        }
    }
}
