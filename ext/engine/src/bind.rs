//! Binding, or taking over what is bound already.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, chown};
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket};

use crate::Error;
use crate::connect::unix_address;
use crate::keepalive::Keepalive;
use crate::listener::{Endpoint, Listener, Options, prepare};
use crate::socket::nonblocking;
use crate::socket_file::SocketFile;

/// Connections the kernel holds for us while we are busy; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Those of `open` that are meant, in the name of another endpoint.
pub(crate) fn take_all(
    open: &mut Vec<Listener>,
    endpoint: &Arc<Endpoint>,
    is_meant: impl Fn(&Listener) -> bool,
) -> Vec<Listener> {
    let meant;
    (meant, *open) = std::mem::take(open).into_iter().partition(is_meant);
    meant.into_iter().map(|listener| Listener { endpoint: Arc::clone(endpoint), ..listener }).collect()
}

pub(crate) fn open_tcp(
    address: &str,
    options: &Options,
    endpoint: Arc<Endpoint>,
    open: &mut Vec<Listener>,
) -> Result<Vec<Listener>, Error> {
    let failed = |source| Error::Bind { address: address.into(), source };
    let (host, port) = split(address).ok_or_else(|| Error::Address { address: address.into() })?;
    let resolve = |source| Error::Resolve { host: host.into(), source };
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(resolve)?.collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(resolve(io::ErrorKind::NotFound.into()));
    }
    if port == 0 {
        addresses.truncate(1);
    }

    let mut listeners = Vec::with_capacity(addresses.len());
    let mut last_error = None;
    for address in addresses {
        let is_meant = |listener: &Listener| {
            // Which it hears cannot be changed any more; so it is another one.
            let only_v6 = listener.socket.only_v6().unwrap_or_default();
            listener.is_at(&address.into()) && only_v6 == (options.only_v6 && address.is_ipv6())
        };
        let known = take_all(open, &endpoint, is_meant);
        if !known.is_empty() {
            listeners.extend(known);
            continue;
        }
        match listen_tcp(address, options) {
            Ok(socket) => listeners.push(Listener { socket, endpoint: Arc::clone(&endpoint), file: None }),
            // A name may have an IPv6 address on a machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => last_error = Some(error),
            Err(source) => return Err(failed(source)),
        }
    }
    match last_error {
        Some(source) if listeners.is_empty() => Err(failed(source)),
        _ => Ok(listeners),
    }
}

/// `host:port`, split at the last colon; brackets around the host are taken off.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !host.is_empty()).then_some((host, port.parse().ok()?))
}

fn listen_tcp(address: SocketAddr, options: &Options) -> io::Result<Socket> {
    let socket = nonblocking(Domain::for_address(address))?;
    if address.is_ipv6() {
        socket.set_only_v6(options.only_v6)?; // whatever the system's default is
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Before listen(2), since somebody may connect before the engine starts.
    let keepalive = Keepalive { after: options.keepalive, user_timeout: options.user_timeout };
    prepare(&socket, address, keepalive);
    socket.listen(BACKLOG)?;
    Ok(socket)
}

pub(crate) fn open_unix(
    path: &str,
    options: &Options,
    endpoint: Arc<Endpoint>,
    open: &mut Vec<Listener>,
) -> Result<Listener, Error> {
    let failed = |source| Error::Bind { address: endpoint.address().into(), source };
    let address = unix_address(path).map_err(failed)?;
    let known = take_all(open, &endpoint, |listener| listener.is_at(&address)).pop();
    let listener = match known {
        Some(listener) => listener,
        None => {
            let (socket, file) = bind_unix(path, &address).map_err(failed)?;
            Listener { socket, endpoint: Arc::clone(&endpoint), file: file.map(Arc::new) }
        }
    };
    if !path.starts_with('@') {
        set_access(path, options).map_err(failed)?;
    }
    // Nobody can connect before listen(2), so nobody gets in by the permissions of the moment.
    listener.socket.listen(BACKLOG).map_err(failed)?;
    Ok(listener)
}

/// Who may connect to a Unix socket.
fn set_access(path: &str, options: &Options) -> io::Result<()> {
    if let Some(mode) = options.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    if options.owner != (None, None) {
        chown(path, options.owner.0, options.owner.1)?;
    }
    Ok(())
}

/// Bound, and not listening yet.
fn bind_unix(path: &str, address: &SockAddr) -> io::Result<(Socket, Option<SocketFile>)> {
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

/// Removes a socket's file that nobody listens on any more.
fn remove_stale(path: &str) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::other("there is a file of that name which is no socket"));
    }
    match nonblocking(Domain::UNIX)?.connect(&unix_address(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Somebody answers, or is too busy to.
        _ => Err(io::Error::other("another process listens there")),
    }
}
