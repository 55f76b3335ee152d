//! The two ends of a bulk stream.

use crate::link::Link;
use crate::net::{Step, attempt, broken};
use crate::stream::Stream;
use mio::net::TcpStream;
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;

/// Operations on one connection per turn.
const TURN: usize = 4;

/// One read of this many is copied and compared. The kernel counts and discards the others, so that the
/// receiver does not limit the rate.
const SAMPLE: usize = 16;

const PIECE: usize = 1 << 20;

/// The end of a connection.
pub trait End: Read + Write {
    /// Returns the socket of a connection without TLS.
    fn plain(&self) -> Option<&TcpStream>;
}

impl End for TcpStream {
    fn plain(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl End for Link {
    fn plain(&self) -> Option<&TcpStream> {
        Self::plain(self)
    }
}

/// State that all connections share.
pub struct Tools {
    pub stream: Stream,
    pub scratch: Vec<u8>,
    hole: Box<[MaybeUninit<u8>]>,
}

impl Tools {
    pub fn new() -> Self {
        let hole = vec![MaybeUninit::uninit(); PIECE].into_boxed_slice();
        Self { stream: Stream::new(), scratch: vec![0; 256 * 1024], hole }
    }
}

/// A position in a stream of known length, for sender and receiver.
#[derive(Clone, Copy)]
pub struct Position {
    pub offset: u64,
    pub left: u64,
    turns: usize,
}

impl Position {
    pub fn start(size: u64) -> Self {
        Self { offset: 0, left: size, turns: 0 }
    }

    fn advance(&mut self, n: usize) {
        self.offset += n as u64;
        self.left -= n as u64;
        self.turns += 1;
    }

    pub fn send(&mut self, socket: &mut impl End, tools: &Tools) -> io::Result<Step> {
        for _ in 0..TURN {
            if self.left == 0 {
                return Ok(Step::Done);
            }
            match attempt(socket.write(tools.stream.at(self.offset, self.left)))? {
                None => return Ok(Step::Wait),
                Some(n) => self.advance(n),
            }
        }
        Ok(Step::Again)
    }

    pub fn receive(&mut self, socket: &mut impl End, tools: &mut Tools) -> io::Result<Step> {
        for _ in 0..TURN {
            if self.left == 0 {
                return Ok(Step::Done);
            }
            let plain = socket.plain();
            let checked = plain.is_none() || self.turns % SAMPLE == 0;
            let result = if checked {
                let room = tools.scratch.len().min(self.left as usize);
                socket.read(&mut tools.scratch[..room])
            } else {
                let room = PIECE.min(self.left as usize);
                SockRef::from(plain.expect("a socket"))
                    .recv_with_flags(&mut tools.hole[..room], libc::MSG_TRUNC)
            };
            match attempt(result)? {
                None => return Ok(Step::Wait),
                Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Some(n) if checked && !tools.stream.matches(self.offset, &tools.scratch[..n]) => {
                    return Err(broken("bytes of the stream differ"));
                }
                Some(n) => self.advance(n),
            }
        }
        Ok(Step::Again)
    }
}
