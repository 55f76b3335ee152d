//! How much of what was written the peer does not have yet.
#![allow(unsafe_code)]

use std::os::fd::AsRawFd;

use tokio::net::TcpStream;

/// Bytes that the peer has not acknowledged (tcp(7), SIOCOUTQ). 0 where the system does not tell.
pub(crate) fn unsent(stream: &TcpStream) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `stream` lives; TIOCOUTQ, which is SIOCOUTQ, writes an int.
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
    if result == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}
