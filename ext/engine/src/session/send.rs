//! Sending the client a message of the router's, and counting its bytes.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::timeout;

use crate::net::socket::is_would_block;
use crate::net::stream::Stream;
use crate::tls::Transport;
use crate::{Client, ConnectionRecord};

/// Sends all of `message`, unless the client takes none of it for `limit`. Returns whether all was sent.
pub(crate) async fn send(
    transport: &Transport,
    mut message: Bytes,
    limit: Duration,
    client: &Client,
    record: &mut ConnectionRecord,
) -> bool {
    while !message.is_empty() {
        match timeout(limit, poll_fn(|cx| transport.poll_write(cx, &message, false))).await {
            Ok(Ok(count)) => {
                message.advance(count);
                record.traffic.sent_to_client(count, client.metrics());
            }
            _ => return false,
        }
    }
    // Without TLS nothing is left.
    !transport.has_unsent()
        || timeout(limit, poll_fn(|cx| transport.poll_flush(cx, false))).await.is_ok_and(|sent| sent.is_ok())
}

/// Sends as much of `message` as the socket takes without waiting. Returns the rest.
pub(crate) fn send_now(
    transport: &Transport,
    mut message: Bytes,
    client: &Client,
    record: &mut ConnectionRecord,
) -> io::Result<Bytes> {
    while !message.is_empty() {
        match transport.try_write(&message) {
            Ok(count) => {
                message.advance(count);
                record.traffic.sent_to_client(count, client.metrics());
            }
            // The runtime may not know yet that a new socket is writable.
            Err(error) if is_would_block(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(message)
}
