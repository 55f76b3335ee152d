//! Accepting clients: one loop for each listener and thread.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{SemaphorePermit, watch};
use tokio::task::JoinSet;

use crate::net::{socket, sys::register};
use crate::observer::metrics::Counter;
use crate::session::guard::{ConnectionGuard, EngineShared};
use crate::{Client, Endpoint, Listener, Observer, Router, Socket, session};

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Clients accepted before other connections get a turn. The kernel's queue keeps the others: if all were accepted at
/// once, what each needs would have left the processor's cache when its next step comes.
const ACCEPTS_PER_TURN: usize = 32;

/// The listeners, and the state for the connections that they accept, until the next reload.
pub(crate) struct ServingConfig<R, O> {
    pub(crate) listeners: Vec<Arc<Listener>>,
    /// Listeners that a reload has removed. Those live from which clients are still accepted: a later reload that
    /// configures such a listener again must take it back, because its address is in use.
    pub(crate) removed: Vec<Weak<Listener>>,
    pub(crate) shared: Arc<EngineShared<R, O>>,
}

/// One listener as one engine thread accepts from it.
struct Acceptor {
    socket: AsyncFd<OwnedFd>,
    /// Keeps a Unix socket's file in place while clients may connect.
    listener: Arc<Listener>,
}

impl Acceptor {
    fn open(listener: &Arc<Listener>) -> io::Result<Self> {
        let socket = register(listener.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        Ok(Self { socket, listener: Arc::clone(listener) })
    }
}

/// Accepts from the listeners of the current configuration, and from those of each one that follows. `tasks` gets one
/// task for each listener.
pub(crate) async fn accept_all<R: Router, O: Observer>(
    mut configs: watch::Receiver<ServingConfig<R, O>>,
    tasks: &mut JoinSet<()>,
) {
    loop {
        let (acceptors, shared) = {
            let serving = configs.borrow_and_update();
            let acceptors: io::Result<Vec<Acceptor>> = serving.listeners.iter().map(Acceptor::open).collect();
            (acceptors, Arc::clone(&serving.shared))
        };
        match acceptors {
            Ok(acceptors) => {
                for acceptor in acceptors {
                    tasks.spawn(accept(acceptor, Arc::clone(&shared), configs.clone()));
                }
                // Forgets the tasks that have ended.
                while tasks.try_join_next().is_some() {}
            }
            Err(error) => {
                shared.observer.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                configs.mark_changed();
            }
        }
        // Cannot fail: the engine holds the sender.
        let _ = configs.changed().await;
    }
}

/// Accepts until a drain begins or the configuration is replaced.
async fn accept<R: Router, O: Observer>(
    acceptor: Acceptor,
    shared: Arc<EngineShared<R, O>>,
    mut configs: watch::Receiver<ServingConfig<R, O>>,
) {
    let Acceptor { socket: listener, listener: configured } = acceptor;
    let (id, endpoint) = (configured.id(), Arc::clone(configured.endpoint()));
    // This task learns late of a reload, so each client is served under the newest configuration.
    let newest = configs.clone();
    let serve = |(socket, peer)| {
        let client = Client::new(peer, Arc::clone(&endpoint));
        let shared = Arc::clone(&newest.borrow().shared);
        session::start(socket, ConnectionGuard::new(shared, client));
    };
    let mut draining = std::pin::pin!(shared.shutdown.begun());
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut draining => break,
            _ = configs.changed() => break,
            accepted = accept_one(&listener, &endpoint, &shared) => accepted,
        };
        let mut next = Some(accepted);
        let mut count = 0;
        while let Some(accepted) = next {
            match accepted {
                Ok(accepted) => serve(accepted),
                Err(error) if is_aborted(&error) => {}
                Err(error) => {
                    pause_after(&error, &endpoint, &shared).await;
                    break;
                }
            }
            count += 1;
            if count == ACCEPTS_PER_TURN {
                tokio::task::yield_now().await;
                break;
            }
            next = accept_another(&listener, &shared);
        }
    }
    if shared.shutdown.is_draining() && !shared.shutdown.has_successor() {
        return;
    }
    // The new configuration, or the process that takes over, may not listen here. Closing the socket resets the clients
    // in its queue, so they are accepted. Where another process listens at the same socket, clients may come for ever,
    // so those are accepted that are in the queue now.
    let is_shared = shared.shutdown.has_successor() || configured.is_systemds();
    let limit = if is_shared { configured.queue_length() } else { usize::MAX };
    let mut accepted = 0_usize;
    while accepted < limit {
        let Some(permit) = shared.connection_limit.try_acquire() else { break };
        match accept_queued(&listener, permit) {
            Ok(Some(client)) => serve(client),
            Ok(None) => return,
            Err(_) => break,
        }
        accepted += 1;
        if accepted % ACCEPTS_PER_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    {
        // No reload can take the listener back before the borrow ends.
        let serving = configs.borrow();
        if serving.listeners.iter().any(|other| other.id() == id) {
            return; // The task of the new configuration accepts the rest.
        }
        if !is_shared {
            configured.admit_no_client();
        }
    }
    // Without a look at the queue, a listener without clients would stay until there is room for one.
    while accepted < limit && configured.queue_length() > 0 {
        let permit = tokio::select! {
            biased;
            () = shared.shutdown.closed() => return,
            permit = shared.connection_limit.acquire() => permit,
        };
        match accept_queued(&listener, permit) {
            Ok(Some(client)) => {
                serve(client);
                accepted += 1;
            }
            Ok(None) => return,
            Err(error) => pause_after(&error, &endpoint, &shared).await,
        }
    }
}

/// Accepts one client as soon as the connection limit permits; others wait in the kernel's queue.
async fn accept_one<R: Router, O: Observer>(
    listener: &AsyncFd<OwnedFd>,
    endpoint: &Endpoint,
    shared: &EngineShared<R, O>,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    loop {
        let mut ready = listener.readable().await?;
        let permit = match shared.connection_limit.try_acquire() {
            Some(permit) => permit,
            None => {
                endpoint.metrics().count(Counter::LimitConnections);
                shared.observer.connection_limit_reached(shared.config.max_connections);
                shared.connection_limit.acquire().await
            }
        };
        let Ok(accepted) = ready.try_io(socket::accept) else { continue };
        return registered(accepted, permit);
    }
}

/// Accepts one more client, if there is one and the limit permits. It has waited in the queue, so that its first bytes
/// are probably there.
fn accept_another<R: Router, O: Observer>(
    listener: &AsyncFd<OwnedFd>,
    shared: &EngineShared<R, O>,
) -> Option<io::Result<(Socket, Option<SocketAddr>)>> {
    let permit = shared.connection_limit.try_acquire()?;
    match listener.try_io(Interest::READABLE, |listener| socket::accept(listener)) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        accepted => Some(registered(accepted, permit).inspect(|(socket, _)| socket.expect_bytes())),
    }
}

/// Registers a client that was just accepted.
fn registered(
    accepted: io::Result<(OwnedFd, Option<SocketAddr>)>,
    permit: SemaphorePermit<'_>,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    let (socket, peer) = accepted?;
    let socket = Socket::new(socket, peer.is_some())?;
    permit.forget(); // The guard releases it.
    Ok((socket, peer))
}

/// Accepts one client from the kernel's queue. Returns `None` if the queue is empty.
fn accept_queued(
    listener: &AsyncFd<OwnedFd>,
    permit: SemaphorePermit<'_>,
) -> io::Result<Option<(Socket, Option<SocketAddr>)>> {
    loop {
        match socket::accept(listener) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if is_aborted(&error) => {}
            accepted => return registered(accepted, permit).map(Some),
        }
    }
}

/// Counts and reports an accept that failed, and waits for a moment: the next one would probably fail, too.
async fn pause_after<R: Router, O: Observer>(
    error: &io::Error,
    endpoint: &Endpoint,
    shared: &EngineShared<R, O>,
) {
    count_failure(error, endpoint);
    shared.observer.accept_failed(error);
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Counts an accept that failed.
fn count_failure(error: &io::Error, endpoint: &Endpoint) {
    endpoint.metrics().count(match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => Counter::AcceptNoDescriptors,
        Some(libc::ENOMEM | libc::ENOBUFS) => Counter::AcceptNoMemory,
        _ => Counter::AcceptFailed,
    });
}

/// Tells whether accept(2) reported an error of the one connection, which left early, or to which no route leads any
/// more (accept(2), "Error handling"). A security policy that forbids the call (EPERM, EACCES) leaves the client in the
/// queue, so trying again at once would occupy the thread.
fn is_aborted(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        WouldBlock,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | WouldBlock
    ) || matches!(error.raw_os_error(), Some(libc::EPROTO | libc::ENOPROTOOPT | libc::EHOSTDOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_all_connections_pauses_accepting() {
        let failed = |errno| is_aborted(&io::Error::from_raw_os_error(errno));
        let of_one = [libc::ECONNABORTED, libc::ECONNRESET, libc::EINTR, libc::EAGAIN, libc::EPROTO];
        for errno in of_one.into_iter().chain([libc::ENETDOWN, libc::EHOSTUNREACH, libc::ENETUNREACH]) {
            assert!(failed(errno), "{errno}");
        }
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EPERM, libc::EACCES] {
            assert!(!failed(errno), "{errno}");
        }
    }
}
