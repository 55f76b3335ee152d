//! To the backend: resolve, connect, try again.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::{Config, Observer, Remote, Route};

/// Connects to `route.remote`, each attempt resolving anew. `None` when no attempt succeeded.
pub(crate) async fn dial(config: &Config, observer: &impl Observer, route: &Route) -> Option<TcpStream> {
    let remote = &route.remote;
    for retry in 0..=config.connect_retries {
        if retry > 0 {
            observer.retrying(remote, retry);
            sleep(config.retry_delay).await;
        }
        observer.dialing(remote);
        if let Ok(Ok(server)) = timeout(route.connect_timeout, connect(remote)).await {
            observer.connected(remote);
            return Some(server);
        }
    }
    None
}

/// Tries each address of `remote`, in the resolver's order. A literal never sees the resolver,
/// which works on a thread of its own.
async fn connect(remote: &Remote) -> io::Result<TcpStream> {
    if let Some(address) = remote.literal() {
        return connect_to(address).await;
    }
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in lookup_host((remote.host(), remote.port())).await? {
        result = connect_to(address).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let server = TcpStream::connect(address).await?;
    server.set_nodelay(true)?;
    Ok(server)
}
