//! All `unsafe` code of the engine: system calls that no crate offers.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime of this thread.
pub(crate) fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd stays open while it lives, and is always the same descriptor.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// Duplicates a descriptor that another process has passed on by its number.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the descriptor is borrowed for fcntl(2) alone, which checks that it is open.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

/// Returns the number of bytes that the peer has not acknowledged (tcp(7), SIOCOUTQ); 0 if the system does not tell.
pub(crate) fn unacked_bytes(socket: impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open as long as `socket` lives; TIOCOUTQ, which is SIOCOUTQ, writes an int.
    let result = unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &mut count) };
    if result == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}

/// Returns the number of clients in the queue of a listening TCP socket: `sk_ack_backlog`, which `TCP_INFO` of a listening
/// socket has as `tcpi_unacked` (Linux, net/ipv4/tcp.c, `tcp_get_info`).
#[cfg(target_os = "linux")]
pub(crate) fn queued_clients(socket: impl AsFd) -> Option<usize> {
    // SAFETY: all fields are integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open as long as `socket` lives; getsockopt(2) writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &mut length)
    };
    // Emulators may return less of the structure.
    let is_told = length as usize >= std::mem::offset_of!(libc::tcp_info, tcpi_unacked) + size_of::<u32>();
    (result == 0 && is_told).then_some(info.tcpi_unacked as usize)
}

/// Returns `None`: the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn queued_clients(_: impl AsFd) -> Option<usize> {
    None
}

/// Sets `SO_RCVLOWAT` (socket(7)): the socket becomes readable when `count` bytes are there, or the end, or the buffer
/// is full. Errors are ignored.
#[cfg(target_os = "linux")]
pub(crate) fn set_read_low_watermark(socket: impl AsFd, count: libc::c_int) {
    set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, count);
}

/// Sets `IP_BIND_ADDRESS_NO_PORT` (ip(7)): bind(2) leaves the choice of the port to connect(2), so that connections to
/// different backends may share a port. Errors are ignored.
#[cfg(target_os = "linux")]
pub(crate) fn bind_address_no_port(socket: impl AsFd) {
    set(socket.as_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
}

/// Returns the index of a network interface (if_nametoindex(3)).
pub(crate) fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends in a NUL.
    Some(unsafe { libc::if_nametoindex(name.as_ptr()) }).filter(|index| *index != 0)
}

/// Returns the name of a network interface (if_indextoname(3)).
pub(crate) fn interface_name(index: u32) -> Option<String> {
    let mut name = [0; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the length that the function requires; it writes a NUL at the end.
    let result = unsafe { libc::if_indextoname(index, name.as_mut_ptr().cast()) };
    let name = CStr::from_bytes_until_nul(&name).ok().filter(|_| !result.is_null())?;
    Some(name.to_string_lossy().into_owned())
}

/// Sets an integer option.
#[cfg(target_os = "linux")]
fn set(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    let (address, length) = (&raw const value, size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the descriptor is open for as long as it is borrowed; setsockopt(2) reads `length` bytes of `value`.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, address.cast(), length) };
}
