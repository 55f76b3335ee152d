//! The plan of a connection: the actions of both ends and the expected outcome, a function of the run's seed
//! and the connection's number, so that both ends have the same plan and a seed repeats it.

use crate::kinds::Kind;
use crate::random::Random;

/// An action of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Sends this many bytes of its stream.
    Send(u64),
    /// Sends this many bytes of its stream, one at a time.
    Drip(u64),
    /// Waits until this many bytes have arrived in all.
    Receive(u64),
    /// Waits until the other end has closed.
    ReceiveEnd,
    /// Pauses for this many milliseconds.
    Pause(u64),
    /// Shuts down the write side.
    End,
    /// Resets the connection. Only as last action; without it, an end closes after its last action.
    Reset,
}

/// The data that must reach an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// All data of the other end, then a FIN.
    All,
    /// All data, then a FIN or an RST.
    AllThenAny,
    /// A prefix of the data.
    Beginning,
    /// No connection.
    Nothing,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub number: u64,
    pub kind: Kind,
    /// The action of the block: the first word of the connection.
    pub route: &'static str,
    /// The block's sleep in milliseconds.
    pub sleep_ms: u64,
    /// The bytes after the head for which the route "hold" waits.
    pub hold: u64,
    /// The number of head bytes that the client sends; None means all.
    pub head_cut: Option<usize>,
    /// The client sends the head byte by byte.
    pub head_byte_by_byte: bool,
    pub client: Vec<Action>,
    pub server: Vec<Action>,
    pub down: Expected,
    pub up: Expected,
    /// The pauses of client and server after each read, in milliseconds.
    pub pace: (u64, u64),
    /// Both ends have small socket buffers.
    pub small_buffers: bool,
}

impl Plan {
    /// Creates a plan without actions, with an immediate decision.
    pub fn new(number: u64, kind: Kind, random: &mut Random) -> Self {
        let sleep_ms = match random.within(0..=499) {
            0 => 50,
            1..=40 => random.within(1..=5),
            _ => 0,
        };
        Self {
            number,
            kind,
            route: if random.one_in(20) { "name" } else { "join" },
            sleep_ms,
            hold: 0,
            head_cut: None,
            head_byte_by_byte: false,
            client: Vec::new(),
            server: Vec::new(),
            down: Expected::All,
            up: Expected::All,
            pace: (0, 0),
            small_buffers: random.one_in(10),
        }
    }

    /// `ROUTE NAP NUMBER HOLD`: the block reads the first two and the last, the backend the third.
    pub fn head(&self) -> String {
        format!("{} {} {} {}\n", self.route, self.sleep_ms, self.number, self.hold)
    }

    /// The head as it reaches the backend.
    pub fn head_at_server(&self) -> String {
        self.head().replace("greet", "grown")
    }

    /// The text that the proxy itself sends first, as in configs/soak.rb.
    pub fn preface(&self) -> String {
        match self.route {
            "greet" => format!("hello {}\n", self.number),
            "words" => format!("words for {}\n", self.number).repeat(50),
            _ => String::new(),
        }
    }

    /// The offsets of this connection's streams in the shared stream.
    pub fn offsets(&self) -> (u64, u64) {
        (self.number * 7919, self.number * 104_729 + 1)
    }
}

/// Returns the number of bytes that these actions send.
pub fn sent(actions: &[Action]) -> u64 {
    actions
        .iter()
        .map(|action| match action {
            Action::Send(count) | Action::Drip(count) => *count,
            _ => 0,
        })
        .sum()
}
