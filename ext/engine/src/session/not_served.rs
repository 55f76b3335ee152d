//! Reporting what a client has sent that gets no backend.

use super::guard::EngineShared;
use crate::net::scratch;
use crate::tls::Transport;
use crate::{Client, ConnectionRecord, End, Observer, Router};

/// Limit for bytes that are only read for the report.
const MAX_UNREAD: usize = 64 * 1024;

/// Reports what a client has sent, if the observer wants to know. If the router decided before the client's first byte,
/// what has arrived meanwhile is read.
pub(super) fn report_not_served<R: Router, O: Observer>(
    shared: &EngineShared<R, O>,
    transport: &Transport,
    client: &Client,
    record: &ConnectionRecord,
    end: &End,
    received: &[u8],
) {
    if !shared.observer.wants_first_bytes() {
        return;
    }
    if !received.is_empty() || transport.is_encrypted() {
        shared.observer.not_served(client, record, end, received);
        return;
    }
    scratch::with(MAX_UNREAD, |buffer| {
        let count = transport.socket().try_read(buffer).unwrap_or(0);
        shared.observer.not_served(client, record, end, &buffer[..count]);
    });
}
