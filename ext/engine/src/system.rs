//! Every `unsafe` of the engine: what no crate offers otherwise.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with this thread's runtime.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open for as long as it lives, and always the same descriptor.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// A descriptor of our own for what a number that somebody handed over stands for.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: whether it is open is what fcntl(2) finds out; it is borrowed for that call alone.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

/// Bytes that the peer has not acknowledged (tcp(7), SIOCOUTQ). 0 where the system does not tell.
pub(crate) fn unsent(socket: impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open as long as `socket` lives; TIOCOUTQ, which is SIOCOUTQ, writes an int.
    let result = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &mut count) };
    if result == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}

/// A socket is readable when so many bytes are there, or the end, or no room for more (socket(7), `SO_RCVLOWAT`). A
/// system that does not know it goes without.
#[cfg(target_os = "linux")]
pub(crate) fn wait_for_more(socket: impl AsFd, count: libc::c_int) {
    set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, count);
}

/// Lets connect(2) choose the port of a socket that is bound to an address, when the other end is known:
/// then connections to different backends may share one (ip(7), `IP_BIND_ADDRESS_NO_PORT`). A system that
/// does not know it chooses at once.
#[cfg(target_os = "linux")]
pub(crate) fn choose_port_late(socket: impl AsFd) {
    set(socket.as_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
}

/// Sets an option that is an int.
#[cfg(target_os = "linux")]
fn set(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let (address, length) = (&raw const value, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the descriptor is open for as long as it is borrowed; setsockopt(2) reads `length` bytes of `value`.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, address.cast(), length) };
}
