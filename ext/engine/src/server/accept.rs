//! Letting clients in: one loop for each listener and thread.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::{Admission, Context, Control, Plan};
use crate::meters::Count;
use crate::socket_file::SocketFile;
use crate::system::register;
use crate::{Client, Endpoint, Listener, Observer, Router, Socket, session, socket};

/// Pause after an accept that failed for want of something (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where one thread accepts the clients of a listener.
struct Door {
    listener: AsyncFd<OwnedFd>,
    endpoint: Arc<Endpoint>,
    /// Kept for as long as somebody may connect to it.
    _file: Option<Arc<SocketFile>>,
}

impl Door {
    fn open(listener: &Listener) -> io::Result<Self> {
        let (socket, endpoint, file) = listener.try_clone()?.into_parts();
        Ok(Self { listener: register(socket, Interest::READABLE)?, endpoint, _file: file })
    }
}

/// Accepts by one plan after the other.
pub(super) async fn accept_all<R: Router, O: Observer>(control: &Control<R, O>) {
    let mut plans = control.0.subscribe();
    loop {
        let (doors, context) = {
            let plan = plans.borrow_and_update();
            let doors: io::Result<Vec<Door>> = plan.listeners.iter().map(Door::open).collect();
            (doors, Arc::clone(&plan.context))
        };
        match doors {
            Ok(doors) => {
                for door in doors {
                    tokio::spawn(accept(door, Arc::clone(&context), plans.clone()));
                }
            }
            Err(error) => {
                context.observer.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                plans.mark_changed();
            }
        }
        // Its sender is alive.
        let _ = plans.changed().await;
    }
}

/// Accepts until a drain begins, or until there is another plan.
async fn accept<R: Router, O: Observer>(
    door: Door,
    context: Arc<Context<R, O>>,
    mut plans: watch::Receiver<Plan<R, O>>,
) {
    let Door { listener, endpoint, _file } = door;
    // There may be another plan for a while before this task is told: its configuration counts for whoever comes.
    let newest = plans.clone();
    let serve = |(socket, peer)| {
        let client = Client::new(peer, Arc::clone(&endpoint));
        let context = Arc::clone(&newest.borrow().context);
        tokio::spawn(session::run(socket, Admission::new(context, client)));
    };
    let mut draining = std::pin::pin!(context.shutdown.begun());
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut draining => return,
            _ = plans.changed() => break,
            accepted = accept_one(&listener, &endpoint, &context) => accepted,
        };
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) if is_aborted(&error) => {}
            Err(error) => {
                context.observer.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Nobody may listen there any more, but these were let in.
    while let Some(accepted) = accept_queued(&listener, &context) {
        serve(accepted);
    }
}

/// Accepts when there is room for one more. What waits in the system's queue waits on.
async fn accept_one<R: Router, O: Observer>(
    listener: &AsyncFd<OwnedFd>,
    endpoint: &Endpoint,
    context: &Context<R, O>,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    loop {
        let mut ready = listener.readable().await?;
        let room = match context.room.try_take() {
            Some(room) => room,
            None => {
                endpoint.meters().count(Count::LimitConnections);
                context.observer.full(context.config.max_connections);
                context.room.take().await
            }
        };
        let Ok(accepted) = ready.try_io(socket::accept) else { continue };
        let (socket, peer) = accepted?;
        let socket = Socket::new(socket, peer.is_some())?;
        room.forget(); // Given back by the admission.
        return Ok((socket, peer));
    }
}

/// Accepts one that waits in the system's queue, if there is room for it.
fn accept_queued<R, O>(
    listener: &AsyncFd<OwnedFd>,
    context: &Context<R, O>,
) -> Option<(Socket, Option<SocketAddr>)> {
    let room = context.room.try_take()?;
    let (socket, peer) = socket::accept(listener).ok()?;
    let socket = Socket::new(socket, peer.is_some()).ok()?;
    room.forget();
    Some((socket, peer))
}

/// The trouble of one connection that left before it was accepted (accept(2), "Error handling").
fn is_aborted(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_left_early_is_no_reason_to_pause_and_a_lack_of_descriptors_is() {
        let failed = |errno| is_aborted(&io::Error::from_raw_os_error(errno));
        for errno in [libc::ECONNABORTED, libc::ECONNRESET, libc::EINTR, libc::EPERM, libc::EAGAIN] {
            assert!(failed(errno), "{errno}");
        }
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(!failed(errno), "{errno}");
        }
    }
}
