//! Listening sockets: bound and listening before any thread exists, so that a taken port is a
//! start-up error and no connection is refused between start and the first accept.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockAddr, Socket};

use crate::bind::{open_tcp, open_unix, take_all};
use crate::keepalive::Keepalive;
#[cfg(target_os = "linux")]
use crate::loopback;
use crate::networks::Networks;
use crate::remote::unix_path;
use crate::socket_file::SocketFile;
use crate::system::duplicate;
use crate::{Error, Meters};

/// What the connections of one listener have in common.
#[derive(Debug)]
pub struct Endpoint {
    address: Box<str>,
    name: Option<Box<str>>,
    balancers: Option<Networks>,
    meters: Arc<Meters>,
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

    /// What is counted of its connections.
    #[must_use]
    pub fn meters(&self) -> &Arc<Meters> {
        &self.meters
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
    /// Whether a listener at every IPv6 address leaves IPv4 to another one, which has the same port.
    pub only_v6: bool,
    /// As [`Config::keepalive`](crate::Config::keepalive), for who connects before the engine starts.
    pub keepalive: Option<Duration>,
    /// As [`Config::user_timeout`](crate::Config::user_timeout), for who connects before the engine starts.
    pub user_timeout: Option<Duration>,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    pub(crate) socket: Socket,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) file: Option<Arc<SocketFile>>,
}

impl Listener {
    /// Binds what `address` names: every address of `host:port` (a name may have several; with port 0 only
    /// the first, on a free port), or the Unix socket `unix:/path` or `unix:@name`.
    ///
    /// ```
    /// # use proxymachine_engine::Listener;
    /// let listeners = Listener::bind("127.0.0.1:0", &Default::default())?;
    /// assert!(listeners[0].port().is_some());
    /// # Ok::<(), proxymachine_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Address`] when it is neither; [`Error::Resolve`] when the host has no address, [`Error::Bind`]
    /// when one of them cannot be listened on.
    pub fn bind(address: &str, options: &Options) -> Result<Vec<Self>, Error> {
        Self::open(address, options, &mut Vec::new())
    }

    /// The same, but takes sockets from `open` where those listen there already, so that nobody is refused
    /// meanwhile. `systemd:NAME` only names such a socket.
    ///
    /// # Errors
    /// As for [`Listener::bind`], and [`Error::Bind`] when nobody handed over a socket of that name.
    pub fn open(address: &str, options: &Options, open: &mut Vec<Self>) -> Result<Vec<Self>, Error> {
        // Who is called the same and listens at the same place goes on counting.
        let before = open.iter().map(Self::endpoint).find(|endpoint| {
            *endpoint.address == *address && endpoint.name.as_deref() == options.name.as_deref()
        });
        let endpoint = Arc::new(Endpoint {
            meters: before.map(|endpoint| Arc::clone(&endpoint.meters)).unwrap_or_default(),
            address: address.into(),
            name: options.name.clone(),
            balancers: options.balancers.clone(),
        });
        if let Some(path) = unix_path(address) {
            if path.len() == 1 {
                return Err(Error::Address { address: address.into() });
            }
            return open_unix(path, options, endpoint, open).map(|listener| vec![listener]);
        }
        if address.starts_with("systemd:") || address.ends_with(":0") {
            let mut known = take_all(open, &endpoint, |listener| *listener.endpoint.address == *address);
            if !known.is_empty() {
                // A second free port is another listener's.
                let others = if address.ends_with(":0") { known.split_off(1) } else { Vec::new() };
                open.extend(others);
                return Ok(known);
            }
        }
        if address.starts_with("systemd:") {
            let source = io::Error::other("systemd passed no socket of that name (FileDescriptorName=)");
            return Err(Error::Bind { address: address.into(), source });
        }
        open_tcp(address, options, endpoint, open)
    }

    /// A socket that listens already: handed over by another process as the descriptor `fd`, which stays
    /// open. `address` is what it was opened by. The file of a Unix socket is that process's until [`own_file`].
    ///
    /// [`own_file`]: Self::own_file
    ///
    /// # Errors
    /// When that is no listening socket.
    pub fn inherited(fd: RawFd, address: &str) -> io::Result<Self> {
        let socket = Socket::from(duplicate(fd)?);
        if !listens(&socket)? {
            return Err(io::Error::other("it does not listen"));
        }
        socket.set_nonblocking(true)?;
        let file = match unix_path(address) {
            // Whether somebody has removed it meanwhile or not, the socket listens.
            Some(path) if !path.starts_with('@') => SocketFile::inherited(path).ok().map(Arc::new),
            _ => None,
        };
        let endpoint =
            Endpoint { address: address.into(), name: None, balancers: None, meters: Arc::default() };
        Ok(Self { socket, endpoint: Arc::new(endpoint), file })
    }

    /// Its descriptor, for another process to inherit.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// The file of a Unix socket goes when nobody of this process listens there any more.
    pub fn own_file(&self) {
        if let Some(file) = &self.file {
            file.own();
        }
    }

    /// Closes it. What is left is the file of a Unix socket.
    #[must_use]
    pub fn into_file(self) -> Option<Arc<SocketFile>> {
        self.file
    }

    /// The file of a Unix socket stays when nobody of this process listens there any more.
    pub fn keep_file(&self) {
        if let Some(file) = &self.file {
            file.keep();
        }
    }

    /// What the config calls it, and where it is.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whether it is bound to this.
    pub(crate) fn is_at(&self, address: &SockAddr) -> bool {
        let Ok(own) = self.socket.local_addr() else { return false };
        let place = |address: &SockAddr| {
            let path = address.as_pathname().map(Path::to_owned);
            (address.as_socket(), path, address.as_abstract_namespace().map(<[u8]>::to_owned))
        };
        place(&own) == place(address)
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

    /// The same listener for somebody else.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let (endpoint, file) = (Arc::clone(&self.endpoint), self.file.clone());
        Ok(Self { socket: self.socket.try_clone()?, endpoint, file })
    }

    /// Sets what the sockets that it accepts inherit, whoever bound it.
    pub(crate) fn prepare(&self, keepalive: Keepalive) {
        if let Some(address) = self.local_addr() {
            prepare(&self.socket, address, keepalive);
        }
    }

    /// The socket, and what must live as long as it listens.
    pub(crate) fn into_parts(self) -> (OwnedFd, Arc<Endpoint>, Option<Arc<SocketFile>>) {
        (self.socket.into(), self.endpoint, self.file)
    }
}

/// Sets what the sockets that a TCP socket accepts inherit on Linux, which saves a system call for each of them. None
/// of it can fail but for want of the option.
pub(crate) fn prepare(socket: &Socket, address: SocketAddr, keepalive: Keepalive) {
    let _ = socket.set_tcp_nodelay(true);
    keepalive.apply(socket);
    #[cfg(target_os = "linux")]
    loopback::set_unpaced(socket, address);
    #[cfg(not(target_os = "linux"))]
    let _ = address;
}

/// The socket. It is only of use while the listener lives.
impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether it listens. Where the system does not tell, its first accept(2) does.
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
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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

    #[cfg(target_os = "linux")] // Elsewhere nothing is inherited.
    #[test]
    fn who_connects_before_the_engine_starts_is_probed_and_not_delayed_all_the_same() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let options = Options { keepalive: seconds(7), user_timeout: seconds(9), ..Options::default() };
        let listener = Listener::bind("127.0.0.1:0", &options).unwrap().remove(0);
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.socket.accept().unwrap();
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        assert!(accepted.keepalive().unwrap() && accepted.tcp_nodelay().unwrap());
        assert_eq!(accepted.tcp_user_timeout().unwrap(), seconds(9));
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
