//! What the two ends of one connection will do, and what must come of it: a function of the run's seed
//! and the connection's number, so that both ends know it and a seed repeats it.

use crate::kinds::Kind;
use crate::random::Random;

/// One thing that an end does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Sends so many bytes of its stream.
    Send(u64),
    /// Sends so many bytes of its stream one at a time.
    Drip(u64),
    /// Waits until it has got so many bytes, in all.
    Hear(u64),
    /// Waits until the other end has ended.
    HearEnd,
    /// Milliseconds.
    Pause(u64),
    /// Ends its side and goes on listening.
    End,
    /// Ends everything with a reset. Last of its acts; without it, an end closes after its last act.
    Reset,
}

/// What must reach an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Everything that the other end sends, and then its end, not a reset.
    All,
    /// Everything, and then the end, however it is told.
    AllThenAny,
    /// A beginning of it.
    Beginning,
    /// The connection itself must not come.
    Nothing,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub number: u64,
    pub kind: Kind,
    /// What the block is to do, the first word of the connection.
    pub route: &'static str,
    /// Milliseconds that the block sleeps.
    pub nap: u64,
    /// Bytes after the head for which the block waits, if the route says so.
    pub hold: u64,
    /// Bytes of the head that the client sends; None: all.
    pub head_cut: Option<usize>,
    /// The head goes out a byte at a time.
    pub head_drips: bool,
    pub client: Vec<Act>,
    pub server: Vec<Act>,
    pub down: Due,
    pub up: Due,
    /// Milliseconds that the client and the server pause after each piece they read.
    pub pace: (u64, u64),
    /// Both ends have small socket buffers.
    pub narrow: bool,
}

impl Plan {
    /// A plan without any acts, decided at once.
    pub fn new(number: u64, kind: Kind, random: &mut Random) -> Self {
        let nap = match random.within(0..=499) {
            0 => 50,
            1..=40 => random.within(1..=5),
            _ => 0,
        };
        Self {
            number,
            kind,
            route: if random.one_in(20) { "name" } else { "join" },
            nap,
            hold: 0,
            head_cut: None,
            head_drips: false,
            client: Vec::new(),
            server: Vec::new(),
            down: Due::All,
            up: Due::All,
            pace: (0, 0),
            narrow: random.one_in(10),
        }
    }

    /// `ROUTE NAP NUMBER HOLD`: the block reads the first two and the last, the backend the third.
    pub fn head(&self) -> String {
        format!("{} {} {} {}\n", self.route, self.nap, self.number, self.hold)
    }

    /// What becomes of it on the way to the backend.
    pub fn head_at_server(&self) -> String {
        self.head().replace("greet", "grown")
    }

    /// What the proxy itself says to the client first, as soak.rb has it.
    pub fn preface(&self) -> String {
        match self.route {
            "greet" => format!("hello {}\n", self.number),
            "words" => format!("words for {}\n", self.number).repeat(50),
            _ => String::new(),
        }
    }

    /// Where the streams of this connection begin in the one that all share.
    pub fn offsets(&self) -> (u64, u64) {
        (self.number * 7919, self.number * 104_729 + 1)
    }
}

/// Bytes that these acts send.
pub fn sent(acts: &[Act]) -> u64 {
    acts.iter()
        .map(|act| match act {
            Act::Send(count) | Act::Drip(count) => *count,
            _ => 0,
        })
        .sum()
}
