//! Passing a reset on: a peer whose partner was reset is reset, too, and not ended by a FIN.
//!
//! A FIN would declare half an upload or half a reply complete. A reset discards what the peer has not acknowledged yet,
//! so it follows the last acknowledgement.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::net::socket::Socket;
use crate::net::sys::unacked_bytes;

/// The first pause between two looks at the acknowledgements. Each pause is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_millis(64);

/// Waits until the peer has acknowledged everything, or nothing more for `limit`, and sets the socket up so that
/// dropping it resets the connection.
pub(crate) async fn pass_reset(socket: &Socket, limit: Option<Duration>) {
    let mut unacked = unacked_bytes(socket);
    let mut last_ack = Instant::now();
    let mut pause = FIRST_PAUSE;
    // A Unix socket keeps the bytes for its peer after the close.
    while unacked > 0 && socket.is_tcp() && !socket.is_over() {
        sleep(pause).await;
        pause = LAST_PAUSE.min(pause * 2);
        let rest = unacked_bytes(socket);
        if rest < unacked {
            (unacked, last_ack) = (rest, Instant::now());
        } else if limit.is_some_and(|limit| last_ack.elapsed() >= limit) {
            break;
        }
    }
    socket.reset();
}
