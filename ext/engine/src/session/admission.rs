//! Whether a client may stay: the limits by source, checked as soon as the source is known.

use std::sync::Arc;

use super::guard::EngineShared;
use crate::limits::Held;
use crate::net::stream::Stream;
use crate::{Client, End, Observer, Router, Socket};

/// Tells whether the client is announced after the accept: when it has sent something, under `dontlognull`, or when its
/// PROXY header has named a source that may be over a limit.
pub(super) fn announces_late<R: Router, O: Observer>(shared: &EngineShared<R, O>, client: &Client) -> bool {
    shared.config.dontlognull || (shared.config.source_limits.is_set() && client.endpoint().expects_header())
}

/// Counts the connection of a source, if a limit or the router needs the count.
pub(super) fn admit<R: Router, O: Observer>(
    shared: &Arc<EngineShared<R, O>>,
    client: &Client,
    held: &mut Held,
) -> Result<(), End> {
    let limits = &shared.config.source_limits;
    if !limits.is_set() && !shared.router.wants_connections() {
        return Ok(());
    }
    shared.limits.enter(client, limits, held).map_err(|refused| {
        if refused.begins_window {
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                shared.limits.report(|worst| shared.observer.source_over_limit(worst)).await;
            });
        }
        End::SourceLimit { limit: refused.limit, max: refused.max }
    })
}

/// Ends our side of a connection whose socket is closed next, without lingering. So the client sees an end, although the
/// close is a reset if the client has sent something.
pub(super) fn close_at_once(socket: &Socket) {
    let _ = socket.shutdown();
}
