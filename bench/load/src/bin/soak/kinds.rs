//! The kinds of connections, how often each comes, and the plans for them.

use crate::plan::Act::{Drip, End, Hear, HearEnd, Pause, Reset, Send};
use crate::plan::{Act, Due, Plan, sent};
use crate::random::Random;

const MIB: u64 = 1 << 20;

macro_rules! kinds {
    ($($name:ident $words:literal $share:literal)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($name),* }

        impl Kind {
            /// Each with its share of a thousand or so.
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
    /// Those whose every byte must arrive, for a drain to prove that it loses none.
    pub const FAULTLESS: &[Kind] =
        &[Kind::Talk, Kind::Bulk, Kind::ClientEndsFirst, Kind::ServerEndsFirst, Kind::Drip, Kind::Pieces];
}

/// What connection `number` does, of the kinds that are wanted.
pub fn plan(seed: u64, number: u64, wanted: &[(Kind, u64)]) -> Plan {
    let mut random = Random::of(seed, number);
    let mut lot = random.within(0..=wanted.iter().map(|(_, share)| share).sum::<u64>() - 1);
    let (kind, _) = *wanted
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
            let acts = vec![pause, leave(random)];
            undecided(&mut plan, 0, acts);
        }
        Kind::Undecided => {
            let cut = random.within(1..=9) as usize;
            let acts = vec![Pause(random.within(0..=50)), leave(random)];
            undecided(&mut plan, cut, acts);
        }
        Kind::Mute => {
            talkless(&mut plan, "join", Due::Beginning);
            if random.one_in(2) {
                plan.server.push(Pause(random.within(0..=20)));
            }
        }
        Kind::Inactive => {
            talkless(&mut plan, "hurry", Due::Beginning);
            plan.server.push(HearEnd);
        }
        Kind::RefusedLeft => {
            talkless(&mut plan, "refuse", Due::Nothing);
            plan.client = vec![Pause(random.within(0..=900)), leave(random)];
            plan.down = Due::Beginning;
        }
    }
    plan
}

/// One request, one reply, and the server closes.
fn short(plan: &mut Plan, random: &mut Random) {
    let (up, down) = (random.within(0..=2000), random.size(1..=4000));
    plan.client = vec![Send(up), HearEnd];
    plan.server = vec![Hear(up), Send(down)];
    plan.up = Due::AllThenAny;
}

/// A kept connection: messages there and back, until the client ends it.
fn talk(plan: &mut Plan, random: &mut Random) {
    let (mut up, mut down) = (0, 0);
    for _ in 0..random.within(2..=10) {
        let (there, back) = (random.size(1..=20_000), random.size(1..=20_000));
        (up, down) = (up + there, down + back);
        plan.client.extend([Send(there), Hear(down)]);
        plan.server.extend([Hear(up), Send(back)]);
        if random.one_in(2) {
            plan.client.push(Pause(random.within(1..=40)));
        }
    }
    plan.client.extend([End, HearEnd]);
    plan.server.push(HearEnd);
}

/// Mebibytes both ways at once, by readers some of which are slow.
fn bulk(plan: &mut Plan, random: &mut Random) {
    // With small buffers it is slow already.
    let mut pace = || if random.one_in(3) && !plan.narrow { random.within(1..=4) } else { 0 };
    plan.pace = (pace(), pace());
    let most = if plan.narrow { MIB / 2 } else { 4 * MIB };
    plan.client = vec![Send(random.size(MIB / 16..=most)), End, HearEnd];
    plan.server = vec![Send(random.size(MIB / 16..=most)), HearEnd];
}

/// The client ends its side, perhaps before it is decided where it goes, and still gets its reply.
fn client_ends_first(plan: &mut Plan, random: &mut Random) {
    let up = if random.one_in(4) { 0 } else { random.size(1..=200_000) };
    plan.client = vec![Send(up), End, HearEnd];
    plan.server = vec![HearEnd, Pause(random.within(0..=30)), Send(random.size(1..=200_000))];
}

/// The server ends its side first: what it sent arrives, and the connection is over. What the client is
/// still sending then is lost.
fn server_ends_first(plan: &mut Plan, random: &mut Random) {
    let (up, down) = (random.size(1..=200_000), random.size(1..=200_000));
    plan.client = vec![Send(up), HearEnd];
    if random.one_in(2) {
        plan.server = vec![Hear(up), Send(down), End, HearEnd];
        plan.up = Due::AllThenAny;
    } else {
        plan.server = vec![Send(down), End, HearEnd];
        plan.up = Due::Beginning;
        plan.down = Due::AllThenAny;
    }
}

/// One byte at a time.
fn drip(plan: &mut Plan, random: &mut Random) {
    let (up, down) = (random.within(1..=100), random.within(1..=100));
    plan.head_drips = true;
    plan.client = vec![Drip(up), HearEnd];
    plan.server = vec![Hear(up), Drip(down)];
    plan.up = Due::AllThenAny;
}

/// Several chunks before the block decides.
fn pieces(plan: &mut Plan, random: &mut Random) {
    plan.route = "hold";
    for _ in 0..random.within(2..=6) {
        plan.client.extend([Pause(random.within(0..=8)), Send(random.size(1..=20_000))]);
    }
    let up = sent(&plan.client);
    plan.hold = random.within(1..=up);
    plan.client.push(HearEnd);
    plan.server = vec![Hear(up), Send(random.size(1..=20_000))];
    plan.up = Due::AllThenAny;
}

/// No connection comes of it; the client may have more to say than anybody wants to hear.
fn refused(plan: &mut Plan, route: &'static str, random: &mut Random) {
    talkless(plan, route, Due::Nothing);
    if random.one_in(3) {
        plan.client.insert(0, Send(random.size(1..=50_000)));
        plan.down = Due::AllThenAny; // The end may be told by a reset.
    }
}

/// The client says its head and waits for the end.
fn talkless(plan: &mut Plan, route: &'static str, up: Due) {
    plan.route = route;
    plan.client = vec![HearEnd];
    plan.up = up;
}

/// The client sends `cut` bytes of its head, and leaves.
fn undecided(plan: &mut Plan, cut: usize, acts: Vec<Act>) {
    plan.head_cut = Some(cut);
    plan.client = acts;
    plan.up = Due::Nothing;
    plan.down = Due::Beginning;
}

/// A connection of one of the faultless kinds that the client leaves somewhere on the way.
fn client_leaves(plan: &mut Plan, random: &mut Random) {
    faultless(plan, random);
    cut_short(&mut plan.client, random);
    plan.client.push(leave(random));
}

/// The same, reset by the server.
fn server_resets(plan: &mut Plan, random: &mut Random) {
    faultless(plan, random);
    cut_short(&mut plan.server, random);
    plan.server.push(Reset);
}

fn faultless(plan: &mut Plan, random: &mut Random) {
    let makes: [fn(&mut Plan, &mut Random); 7] =
        [short, talk, talk, bulk, client_ends_first, server_ends_first, pieces];
    random.pick(&makes)(plan, random);
    (plan.up, plan.down) = (Due::Beginning, Due::Beginning);
}

fn cut_short(acts: &mut Vec<Act>, random: &mut Random) {
    acts.truncate(random.within(0..=acts.len() as u64 - 1) as usize + 1);
    if let Some(Send(count)) = acts.last_mut() {
        *count = random.within(0..=*count);
    }
    if matches!(acts.last(), Some(HearEnd)) {
        acts.pop();
    }
    acts.push(Pause(random.within(0..=20)));
}

/// By a reset, or by closing.
fn leave(random: &mut Random) -> Act {
    if random.one_in(2) { Reset } else { Pause(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_make_the_same_of_a_number() {
        for number in 0..1000 {
            let (one, other) = (plan(7, number, Kind::ALL), plan(7, number, Kind::ALL));
            assert_eq!(format!("{one:?}"), format!("{other:?}"));
        }
    }

    #[test]
    fn every_kind_comes() {
        let come: std::collections::HashSet<Kind> =
            (0..5000).map(|number| plan(7, number, Kind::ALL).kind).collect();
        assert_eq!(come.len(), Kind::ALL.len());
    }

    #[test]
    fn nobody_waits_for_bytes_that_nobody_sends() {
        for number in 0..5000 {
            let plan = plan(7, number, Kind::ALL);
            let heard = |acts: &[Act]| acts.iter().map(|act| if let Hear(n) = act { *n } else { 0 }).max();
            assert!(plan.up == Due::Beginning || heard(&plan.server) <= Some(sent(&plan.client)), "{plan:?}");
            assert!(
                plan.down == Due::Beginning || heard(&plan.client) <= Some(sent(&plan.server)),
                "{plan:?}"
            );
        }
    }
}
