//! Listening sockets. They are bound and listen before any thread exists: a taken port is a start-up error, and the
//! kernel queues clients until the engine accepts.

mod bind;
pub mod unix_file;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use socket2::{SockAddr, Socket};

use self::bind::{BACKLOG, bind_unix, listen_tcp, listen_unix, set_inherited_options};
use self::unix_file::SocketFile;
use crate::net::keepalive::Keepalive;
use crate::net::networks::Networks;
use crate::net::socket::unix_address;
use crate::net::sys::{duplicate, queued_clients};
use crate::router::remote::unix_path;
use crate::tls::Certificates;
use crate::{Error, ListenerMetrics};

/// The properties that the connections of one listener share.
#[derive(Debug)]
pub struct Endpoint {
    address: Box<str>,
    name: Option<Box<str>>,
    trusted_proxies: Option<Networks>,
    certificates: Option<Certificates>,
    metrics: Arc<ListenerMetrics>,
}

impl Endpoint {
    /// Returns the address as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the name that the config gives the listener.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the counters of the listener's connections.
    #[must_use]
    pub fn metrics(&self) -> &Arc<ListenerMetrics> {
        &self.metrics
    }

    /// Returns the certificates for the handshake with which each connection begins; `None` without TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Tells whether connections begin with a PROXY header.
    pub(crate) fn expects_header(&self) -> bool {
        self.trusted_proxies.is_some()
    }

    /// Tells whether this peer may send a PROXY header. Every peer of a Unix socket may.
    pub(crate) fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        let Some(trusted_proxies) = &self.trusted_proxies else { return false };
        peer.is_none_or(|peer| trusted_proxies.contains(peer.ip()))
    }
}

/// The options of a listener.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The name that the config gives the listener.
    pub name: Option<Box<str>>,
    /// Networks of the load balancers that begin each connection with a PROXY header.
    pub trusted_proxies: Option<Networks>,
    /// Certificates for connections that begin with a TLS handshake, after the PROXY header if there is one.
    pub certificates: Option<Certificates>,
    /// Permissions of a Unix socket's file, as in chmod(2).
    pub mode: Option<u32>,
    /// User and group of a Unix socket's file, as in chown(2).
    pub owner: (Option<u32>, Option<u32>),
    /// Whether a listener at every IPv6 address leaves IPv4 to another listener with the same port.
    pub only_v6: bool,
    /// [`Config::keepalive`](crate::Config::keepalive) for clients that connect before the engine starts.
    pub keepalive: Option<Duration>,
    /// [`Config::user_timeout`](crate::Config::user_timeout) for clients that connect before the engine starts.
    pub user_timeout: Option<Duration>,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    /// Identifies the socket, also among duplicates.
    id: u64,
    socket: Socket,
    endpoint: Arc<Endpoint>,
    file: Option<Arc<SocketFile>>,
}

impl Listener {
    /// Binds every address of `host:port` (with port 0 only the first address, on a free port), or the Unix socket
    /// `unix:/path` or `unix:@name`.
    ///
    /// ```
    /// # use proxymachine_engine::Listener;
    /// let listeners = Listener::bind("127.0.0.1:0", &Default::default())?;
    /// assert!(listeners[0].port().is_some());
    /// # Ok::<(), proxymachine_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Address`] if `address` has none of these forms; [`Error::Resolve`] if the host has no address;
    /// [`Error::Bind`] if one of the addresses cannot be listened on.
    pub fn bind(address: &str, options: &Options) -> Result<Vec<Self>, Error> {
        Self::open(address, options, &mut Vec::new())
    }

    /// Binds as [`Listener::bind`] does, but takes sockets that listen at these addresses already from `open`, so that
    /// no client is refused meanwhile. The address `systemd:NAME` names such a socket.
    ///
    /// # Errors
    /// As for [`Listener::bind`], and [`Error::Bind`] if `open` has no socket of that name.
    pub fn open(address: &str, options: &Options, open: &mut Vec<Self>) -> Result<Vec<Self>, Error> {
        // A listener with the same name and address keeps its counters across a reload.
        let before = open.iter().map(Self::endpoint).find(|endpoint| {
            *endpoint.address == *address && endpoint.name.as_deref() == options.name.as_deref()
        });
        let endpoint = Arc::new(Endpoint {
            metrics: before.map(|endpoint| Arc::clone(&endpoint.metrics)).unwrap_or_default(),
            address: address.into(),
            name: options.name.clone(),
            trusted_proxies: options.trusted_proxies.clone(),
            certificates: options.certificates.clone(),
        });
        if let Some(path) = unix_path(address) {
            if path.len() == 1 {
                return Err(Error::Address { address: address.into() });
            }
            let opened = open_unix(path, options, endpoint, open);
            return opened.map(|listener| vec![listener]).map_err(|source| failed(address, source));
        }
        if address.starts_with("systemd:") || address.ends_with(":0") {
            let mut known = take_all(open, &endpoint, |listener| *listener.endpoint.address == *address);
            if !known.is_empty() {
                // A second free port belongs to another listener.
                let others = if address.ends_with(":0") { known.split_off(1) } else { Vec::new() };
                open.extend(others);
                return Ok(known);
            }
        }
        if address.starts_with("systemd:") {
            let source = io::Error::other("systemd passed no socket of that name (FileDescriptorName=)");
            return Err(failed(address, source));
        }
        open_tcp(address, options, &endpoint, open)
    }

    /// Duplicates the listening socket `fd` that another process has bound to `address`. The file of a Unix socket
    /// belongs to that process until [`own_file`](Self::own_file).
    ///
    /// # Errors
    /// If `fd` is not a listening socket.
    pub fn inherited(fd: RawFd, address: &str) -> io::Result<Self> {
        let socket = Socket::from(duplicate(fd)?);
        if !listens(&socket)? {
            return Err(io::Error::other("it does not listen"));
        }
        socket.set_nonblocking(true)?;
        let file = match unix_path(address) {
            // The socket listens even if its file was removed.
            Some(path) if !path.starts_with('@') => SocketFile::inherited(path).ok().map(Arc::new),
            _ => None,
        };
        let (address, metrics) = (address.into(), Arc::default());
        let endpoint = Endpoint { address, name: None, trusted_proxies: None, certificates: None, metrics };
        Ok(Self::new(socket, Arc::new(endpoint), file))
    }

    /// Returns the descriptor, for another process to inherit.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Makes this process remove the file of a Unix socket when its last listener is dropped.
    pub fn own_file(&self) {
        if let Some(file) = &self.file {
            file.own();
        }
    }

    /// Closes the socket and returns the file of a Unix socket.
    #[must_use]
    pub fn into_file(self) -> Option<Arc<SocketFile>> {
        self.file
    }

    /// Leaves the file of a Unix socket in place when the last listener of this process is dropped.
    pub fn keep_file(&self) {
        if let Some(file) = &self.file {
            file.keep();
        }
    }

    /// Returns the properties that the listener's connections share.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Returns the bound port; `None` for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.local_addr().map(|address| address.port())
    }

    /// Returns the bound address; `None` for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// Duplicates the listener.
    ///
    /// # Errors
    /// If no descriptors are left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let (endpoint, file) = (Arc::clone(&self.endpoint), self.file.clone());
        Ok(Self { id: self.id, socket: self.socket.try_clone()?, endpoint, file })
    }

    /// Sets the options that accepted sockets inherit, also on a socket that another process has bound.
    pub(crate) fn set_inherited_options(&self, keepalive: Keepalive) {
        if let Some(address) = self.local_addr() {
            set_inherited_options(&self.socket, address, keepalive);
        }
    }

    fn new(socket: Socket, endpoint: Arc<Endpoint>, file: Option<Arc<SocketFile>>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT_ID.fetch_add(1, Relaxed), socket, endpoint, file }
    }

    /// Returns the number of the socket, which its duplicates share.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Tells whether systemd listens at the socket, too, and passes it to the next process.
    #[must_use]
    pub fn is_systemds(&self) -> bool {
        self.endpoint.address.starts_with("systemd:")
    }

    /// Returns the number of clients in the queue, or the longest queue where the system does not tell.
    pub(crate) fn queue_length(&self) -> usize {
        queued_clients(&self.socket).unwrap_or(BACKLOG as usize)
    }

    /// Has the kernel admit no further client while clients are in the queue. A socket of systemd stays as it is.
    pub fn admit_no_client(&self) {
        if !self.is_systemds() {
            let _ = self.socket.listen(0);
        }
    }

    /// Admits clients to the queue of a socket that listens, perhaps without a queue.
    pub(crate) fn listen_again(&self) {
        if !self.is_systemds() {
            let _ = self.socket.listen(BACKLOG); // It listens already.
        }
    }

    /// Tells whether the socket is bound to `address`.
    fn is_at(&self, address: &SockAddr) -> bool {
        let Ok(own) = self.socket.local_addr() else { return false };
        let place = |address: &SockAddr| {
            let path = address.as_pathname().map(Path::to_owned);
            (address.as_socket(), path, address.as_abstract_namespace().map(<[u8]>::to_owned))
        };
        place(&own) == place(address)
    }
}

/// Borrows the socket.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Takes the listeners that `is_meant` selects out of `open`, and gives them another endpoint.
fn take_all(
    open: &mut Vec<Listener>,
    endpoint: &Arc<Endpoint>,
    is_meant: impl Fn(&Listener) -> bool,
) -> Vec<Listener> {
    let meant;
    (meant, *open) = std::mem::take(open).into_iter().partition(is_meant);
    meant.into_iter().map(|listener| Listener { endpoint: Arc::clone(endpoint), ..listener }).collect()
}

fn failed(address: &str, source: io::Error) -> Error {
    Error::Bind { address: address.into(), source }
}

/// Opens every address that `host:port` resolves to.
fn open_tcp(
    written: &str,
    options: &Options,
    endpoint: &Arc<Endpoint>,
    open: &mut Vec<Listener>,
) -> Result<Vec<Listener>, Error> {
    let (host, port) = split(written).ok_or_else(|| Error::Address { address: written.into() })?;
    let unresolved = |source| Error::Resolve { host: host.into(), source };
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().map_err(unresolved)?.collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(unresolved(io::ErrorKind::NotFound.into()));
    }

    let keepalive = Keepalive { after: options.keepalive, user_timeout: options.user_timeout };
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut last_error = None;
    for address in addresses {
        if port == 0 && !listeners.is_empty() {
            break; // Another address would get another port.
        }
        let is_meant = |listener: &Listener| {
            // The families of a bound socket cannot change, so a socket for other families is not the one meant.
            let only_v6 = listener.socket.only_v6().unwrap_or_default();
            listener.is_at(&address.into()) && only_v6 == (options.only_v6 && address.is_ipv6())
        };
        let known = take_all(open, endpoint, is_meant);
        if !known.is_empty() {
            listeners.extend(known);
            continue;
        }
        match listen_tcp(address, options.only_v6, keepalive) {
            Ok(socket) => listeners.push(Listener::new(socket, Arc::clone(endpoint), None)),
            Err(error) if is_unavailable(&error) => last_error = Some(error),
            Err(source) => return Err(failed(written, source)),
        }
    }
    match last_error {
        Some(source) if listeners.is_empty() => Err(failed(written, source)),
        _ => Ok(listeners),
    }
}

/// Tells whether this machine lacks the address or its family: a name may have an IPv6 address on a machine without
/// IPv6. The rest of the name's addresses then suffice.
fn is_unavailable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT))
}

/// Opens the Unix socket at `path`.
fn open_unix(
    path: &str,
    options: &Options,
    endpoint: Arc<Endpoint>,
    open: &mut Vec<Listener>,
) -> io::Result<Listener> {
    let address = unix_address(path)?;
    let known = take_all(open, &endpoint, |listener| listener.is_at(&address)).pop();
    let listener = match known {
        Some(listener) => listener,
        None => {
            let (socket, file) = bind_unix(path, &address)?;
            Listener::new(socket, endpoint, file.map(Arc::new))
        }
    };
    listen_unix(&listener.socket, path, options.mode, options.owner)?;
    Ok(listener)
}

/// Splits `host:port` at the last colon and removes brackets around the host.
fn split(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !host.is_empty()).then_some((host, port.parse().ok()?))
}

/// Tells whether a socket listens. If the system does not tell, the first accept(2) does.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn listens(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
#[allow(clippy::unnecessary_wraps)]
fn listens(_: &Socket) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests;
