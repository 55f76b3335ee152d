//! Listening sockets: bound and listening before any thread exists, so that a taken port is a
//! start-up error and no connection is refused between start and the first accept.

use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::sync::Arc;

use socket2::{Domain, Socket};

use crate::Error;
use crate::connect::unix_address;
use crate::keepalive::Keepalive;
use crate::networks::Networks;
use crate::remote::unix_path;
use crate::socket::nonblocking;

/// Connections the kernel holds for us while we are busy; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// What the connections of one listener have in common.
#[derive(Debug)]
pub struct Endpoint {
    address: Box<str>,
    name: Option<Box<str>>,
    balancers: Option<Networks>,
}

impl Endpoint {
    /// Where it listens, as it was written.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the config calls it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether load balancers say at the beginning of a connection who their client is.
    pub(crate) fn expects_header(&self) -> bool {
        self.balancers.is_some()
    }

    /// Whether this peer is such a load balancer. Who may open a Unix socket is one.
    pub(crate) fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        let Some(balancers) = &self.balancers else { return false };
        peer.is_none_or(|peer| balancers.contains(peer.ip()))
    }
}

/// How to listen, beside the address.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the config calls it.
    pub name: Option<Box<str>>,
    /// Load balancers that begin each connection with a PROXY header, by their networks.
    pub balancers: Option<Networks>,
    /// Permissions of a Unix socket's file, as in chmod(2).
    pub mode: Option<u32>,
    /// User and group that a Unix socket's file belongs to, as in chown(2).
    pub owner: (Option<u32>, Option<u32>),
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Socket,
    pub(crate) endpoint: Arc<Endpoint>,
    file: Option<Arc<SocketFile>>,
}

impl Listener {
    /// Binds what `address` names: every address of `host:port` (a name may have several; with port 0 only
    /// the first, on a free port), or the Unix socket `unix:/path` or `unix:@name`.
    ///
    /// # Errors
    /// [`Error::Address`] when it is neither; [`Error::Resolve`] when the host has no address, [`Error::Bind`] when one of them cannot be
    /// listened on.
    pub fn bind(address: &str, options: &Options) -> Result<Vec<Self>, Error> {
        let endpoint = Endpoint {
            address: address.into(),
            name: options.name.clone(),
            balancers: options.balancers.clone(),
        };
        match unix_path(address) {
            Some(path) => bind_unix(path, options, endpoint.into()).map(|listener| vec![listener]),
            None => bind_tcp(address, endpoint.into()),
        }
    }

    /// The port that was bound; None for a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.local_addr().map(|address| address.port())
    }

    /// The address that was bound; None for a Unix socket.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }

    /// The same listener for another thread.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let (endpoint, file) = (Arc::clone(&self.endpoint), self.file.clone());
        Ok(Self { socket: self.socket.try_clone()?, endpoint, file })
    }

    /// What the sockets that it accepts inherit.
    pub(crate) fn set_keepalive(&self, keepalive: Keepalive) {
        if self.local_addr().is_some() {
            keepalive.apply(&self.socket);
        }
    }

    /// The socket, and what must live as long as it listens.
    pub(crate) fn into_parts(self) -> (OwnedFd, Arc<Endpoint>, Option<Arc<SocketFile>>) {
        (self.socket.into(), self.endpoint, self.file)
    }
}

fn bind_tcp(address: &str, endpoint: Arc<Endpoint>) -> Result<Vec<Listener>, Error> {
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
        match listen_tcp(address) {
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

fn listen_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = nonblocking(Domain::for_address(address))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it on Linux, which saves a system call for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn bind_unix(path: &str, options: &Options, endpoint: Arc<Endpoint>) -> Result<Listener, Error> {
    let failed = |source| Error::Bind { address: endpoint.address.to_string(), source };
    let (socket, file) = listen_unix(path, options).map_err(failed)?;
    Ok(Listener { socket, endpoint, file: file.map(Arc::new) })
}

fn listen_unix(path: &str, options: &Options) -> io::Result<(Socket, Option<SocketFile>)> {
    let address = unix_address(path)?;
    let socket = nonblocking(Domain::UNIX)?;
    if path.starts_with('@') {
        socket.bind(&address)?;
        socket.listen(BACKLOG)?;
        return Ok((socket, None));
    }
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_stale(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let file = SocketFile::at(path)?;
    // Nobody can connect before listen(2), so nobody gets in by the permissions of the moment.
    if let Some(mode) = options.mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    if options.owner != (None, None) {
        chown(path, options.owner.0, options.owner.1)?;
    }
    socket.listen(BACKLOG)?;
    Ok((socket, Some(file)))
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

/// The file of a Unix socket. It is removed with its last listener, unless another one took its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &str) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let metadata = fs::symlink_metadata(&path)?;
        Ok(Self { path, device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |file: fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: &str) -> Result<Vec<Listener>, Error> {
        Listener::bind(address, &Options::default())
    }

    #[test]
    fn port_0_takes_one_free_port() {
        let listeners = bind("localhost:0").unwrap();
        assert_eq!(listeners.len(), 1);
        assert_ne!(listeners[0].port(), Some(0));
    }

    #[test]
    fn brackets_around_an_address_are_taken_off() {
        match bind("[::1]:0") {
            Ok(listeners) => assert!(listeners[0].local_addr().unwrap().is_ipv6()),
            // A machine without IPv6 has understood the address all the same.
            Err(error) => assert!(matches!(error, Error::Bind { .. }), "{error}"),
        }
    }

    #[test]
    fn connections_are_queued_before_anybody_accepts() {
        let listeners = bind("127.0.0.1:0").unwrap();
        let address = listeners[0].local_addr().unwrap();
        let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        assert_eq!(clients.len(), 200);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = bind("127.0.0.1:0").unwrap();
        let port = taken[0].port().unwrap();
        let error = bind(&format!("127.0.0.1:{port}")).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}: Address already in use"));
    }

    #[test]
    fn a_host_that_does_not_resolve_is_named() {
        let error = bind("no-such-host.invalid:80").unwrap_err();
        assert!(error.to_string().starts_with("cannot resolve no-such-host.invalid: "), "{error}");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for address in ["", "80", "host", "host:", ":80", "host:http", "host:65536", "unix:relative"] {
            let error = bind(address).unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot listen on {address:?}: ")), "{error}");
        }
    }

    /// A path that nothing else uses.
    fn temporary(name: &str) -> String {
        let path = std::env::temp_dir().join(format!("proxymachine-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path.to_str().unwrap().into()
    }

    #[test]
    fn a_unix_socket_has_the_mode_it_should_have_and_leaves_no_file() {
        let path = temporary("mode");
        let options = Options { mode: Some(0o640), ..Options::default() };
        let listeners = Listener::bind(&format!("unix:{path}"), &options).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(listeners);
        assert!(!fs::exists(&path).unwrap());
    }

    #[test]
    fn a_stale_socket_file_is_taken_over_and_a_live_one_is_not() {
        let path = temporary("stale");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // Leaves its file behind.
        let address = format!("unix:{path}");
        let first = bind(&address).unwrap();
        let error = bind(&address).unwrap_err().to_string();
        assert_eq!(error, format!("cannot listen on {address}: another process listens there"));
        std::os::unix::net::UnixStream::connect(&path).unwrap();
        drop(first);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = temporary("file");
        fs::write(&path, "precious").unwrap();
        assert!(bind(&format!("unix:{path}")).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_abstract_name_has_no_file() {
        let address = format!("unix:@proxymachine-{}", std::process::id());
        let listeners = bind(&address).unwrap();
        assert!(bind(&address).is_err());
        drop(listeners);
        assert!(bind(&address).is_ok());
    }
}
