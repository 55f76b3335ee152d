//! To the backend: resolve, connect, try the next, try again.

use std::io;

use bytes::Bytes;
use socket2::SockAddr;
use tokio::time::{sleep, timeout};

use crate::account::{Account, Code};
use crate::connect::{From, Opened, connected, open, race, unix_address};
use crate::keepalive::Keepalive;
use crate::meters::Count;
use crate::resolve::resolve;
use crate::{Client, Config, Observer, Remote, Route, Socket};

/// Connects to the first of the route's backends that can be reached, each attempt resolving anew, and
/// tells which one it is. The failed attempt's number of rounds is the error.
///
/// The beginning of `first`, perhaps all of it, is sent on the way and taken out of it.
pub(crate) async fn dial(
    config: &Config,
    observer: &impl Observer,
    client: &Client,
    account: &mut Account,
    route: &Route,
    first: &mut Bytes,
) -> Result<(Socket, usize), u32> {
    let from = From { local: route.local, keepalive: Keepalive::of(config) };
    let retries = route.retries.unwrap_or(config.connect_retries);
    for retry in 0..=retries {
        if retry > 0 {
            account.retried();
            client.meters().count(Count::Retries);
            observer.retrying(&route.remote, retry);
            sleep(route.retry_delay.unwrap_or(config.retry_delay)).await;
        }
        for (index, remote) in route.remotes().enumerate() {
            observer.dialing(remote);
            match attempt(route, remote, from, first).await {
                Ok(server) => {
                    observer.connected(remote);
                    return Ok((server, index));
                }
                Err(error) => {
                    account.failed_at(remote, failure(&error));
                    observer.dial_failed(remote);
                    if is_starved(&error) {
                        observer.dial_starved(remote, &error);
                    }
                }
            }
        }
    }
    Err(retries.saturating_add(1))
}

/// One attempt, within the time that the route gives it.
async fn attempt(route: &Route, remote: &Remote, from: From, first: &mut Bytes) -> io::Result<Socket> {
    // Boxed, since mostly nothing has to be waited for: see open().
    match literal(remote)? {
        Some(address) => match open(&address, from, first)? {
            Opened::Connected(server) => Ok(server),
            Opened::Connecting(server) => Box::pin(timeout(route.connect_timeout, connected(server))).await?,
        },
        None => {
            let answers = resolve(remote.host(), remote.port(), from.local);
            Box::pin(timeout(route.connect_timeout, race(answers, from, first))).await?
        }
    }
}

/// The address of a remote that needs no resolver.
fn literal(remote: &Remote) -> io::Result<Option<SockAddr>> {
    match remote.unix() {
        Some(path) => unix_address(path).map(Some),
        None => Ok(remote.literal().map(SockAddr::from)),
    }
}

fn failure(error: &io::Error) -> Code {
    match error.kind() {
        _ if is_starved(error) => Code::Starved,
        io::ErrorKind::TimedOut => Code::ServerSlowConnecting,
        _ => Code::ServerConnecting,
    }
}

/// No fault of the backend: this machine has no descriptor, port or memory left.
fn is_starved(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}
