//! Binding: from an address to a socket.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};

use socket2::{Domain, SockAddr, Socket};

use super::unix_file::SocketFile;
use crate::net::keepalive::Keepalive;
#[cfg(target_os = "linux")]
use crate::net::loopback;
use crate::net::socket::{nonblocking, unix_address};

/// Backlog of listen(2). The kernel caps it at `net.core.somaxconn`.
pub(super) const BACKLOG: i32 = 4096;

/// Opens a listening TCP socket.
pub(super) fn listen_tcp(address: SocketAddr, only_v6: bool, keepalive: Keepalive) -> io::Result<Socket> {
    let socket = nonblocking(Domain::for_address(address))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?; // The system's default may differ.
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Before listen(2), since a client may connect before the engine starts.
    set_inherited_options(&socket, address, keepalive);
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Sets the options that the sockets accepted from a TCP socket inherit on Linux, which saves a system call for each of
/// them. Errors are ignored: a system without an option does without.
pub(super) fn set_inherited_options(socket: &Socket, address: SocketAddr, keepalive: Keepalive) {
    let _ = socket.set_tcp_nodelay(true);
    keepalive.apply(socket);
    #[cfg(target_os = "linux")]
    loopback::disable_pacing(socket, address);
    #[cfg(not(target_os = "linux"))]
    let _ = address;
}

/// Binds a Unix socket, which does not listen yet.
pub(super) fn bind_unix(path: &str, address: &SockAddr) -> io::Result<(Socket, Option<SocketFile>)> {
    let socket = nonblocking(Domain::UNIX)?;
    if path.starts_with('@') {
        socket.bind(address)?;
        return Ok((socket, None));
    }
    match socket.bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(address)?;
        }
        bound => bound?,
    }
    Ok((socket, Some(SocketFile::bound(path)?)))
}

/// Sets the permissions and the owner of a Unix socket's file, then listens. No client can connect before listen(2), so
/// the file's first permissions let no client in.
pub(super) fn listen_unix(
    socket: &Socket,
    path: &str,
    mode: Option<u32>,
    (user, group): (Option<u32>, Option<u32>),
) -> io::Result<()> {
    if !path.starts_with('@') {
        if let Some(mode) = mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        if (user, group) != (None, None) {
            chown(path, user, group)?;
        }
    }
    socket.listen(BACKLOG)
}

/// Removes the file of a socket on which no process listens any more.
fn remove_stale(path: &str) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::other("there is a file of that name which is no socket"));
    }
    match nonblocking(Domain::UNIX)?.connect(&unix_address(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // A process answers, or is too busy to answer.
        _ => Err(io::Error::other("another process listens there")),
    }
}
