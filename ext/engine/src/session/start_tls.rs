//! Ending TLS: the handshake with a client, at the beginning of its connection or when the router says so.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout;

use super::decide::{Undecided, drain_deadline};
use crate::observer::metrics::TlsSide;
use crate::router::verdict::{RouterFault, StartTls};
use crate::tls::{Certificates, Connection, Handshake, HandshakeError, TlsInfo};
use crate::{End, Observer, Router};

impl<R: Router, O: Observer> Undecided<'_, R, O> {
    /// Ends TLS on a connection whose listener says that it begins with a handshake.
    pub(super) async fn begin_with_tls(&mut self) -> Result<(), End> {
        let Some(certificates) = self.session.client.endpoint.certificates().cloned() else { return Ok(()) };
        let received = std::mem::take(&mut self.received);
        self.end_tls(&certificates, received).await
    }

    /// Ends TLS as the router says, which has seen the first `seen` bytes of the client.
    pub(super) async fn start_tls(&mut self, start: StartTls, seen: usize) -> Result<(), End> {
        if self.transport.is_encrypted() {
            return Err(End::RouterFailed { fault: RouterFault::InvalidAnswer });
        }
        let received = std::mem::take(&mut self.received);
        let received = match start.reply {
            None => start.data.unwrap_or(received),
            Some(reply) => {
                let unknown = (received.len() - seen) as u64 + self.transport.socket().unread();
                // What was sent in clear must not be read as if it had come encrypted, or after the reply.
                if unknown > 0 && !reply.is_empty() {
                    return Err(End::ClearBeforeTls { count: unknown });
                }
                self.send_message(Some(reply)).await?;
                start.data.unwrap_or_default()
            }
        };
        self.accept_done = true;
        self.end_tls(&start.certificates, received).await
    }

    /// Makes the handshake, which begins with `received`.
    async fn end_tls(&mut self, certificates: &Certificates, received: Bytes) -> Result<(), End> {
        self.tls_done = false;
        let begun = Instant::now();
        let limit = self.shared.config.tls_handshake_timeout;
        let done = match limit {
            Some(limit) => match timeout(limit, self.handshake(certificates, received)).await {
                Ok(done) => done,
                Err(_) => Err(End::TlsFailed { error: HandshakeError::Timeout(limit) }),
            },
            None => self.handshake(certificates, received).await,
        };
        if matches!(done, Ok(_) | Err(End::TlsFailed { .. })) {
            self.session.client.metrics().handshake(TlsSide::Client, done.as_ref().ok(), begun.elapsed());
        }
        let info = done?;
        self.session.client.known.get_or_insert_default().tls = Some(Arc::new(info));
        self.answered_len = 0;
        self.tls_done = true;
        Ok(())
    }

    async fn handshake(&mut self, certificates: &Certificates, mut received: Bytes) -> Result<TlsInfo, End> {
        let shared = self.shared;
        if received.is_empty() {
            self.preread_more().await.map_err(|end| match end {
                // A client that leaves without having sent a byte may have to stay unannounced.
                End::ClientLeft if self.announced => End::TlsFailed { error: HandshakeError::Closed },
                end => end,
            })?;
            received = std::mem::take(&mut self.received);
        }
        self.hello_begun = true;
        self.announce();
        let socket = self.transport.socket();
        let connection = Connection::server(certificates.server_config());
        let connection = connection.map_err(|error| End::TlsFailed { error: error.into() })?;
        let mut handshake = Handshake::new(connection, &received);
        drop(received);
        let complete = async {
            handshake.read_hello(socket).await?;
            handshake.complete(socket).await
        };
        let done = tokio::select! {
            biased;
            done = complete => done,
            () = drain_deadline(shared, true) => return Err(End::Undecided),
        };
        if let Err(error) = done {
            let _ = timeout(shared.config.linger, handshake.send_alert(socket, &error)).await;
            return Err(End::TlsFailed { error });
        }
        let (layer, info) = handshake.finish();
        self.transport.encrypt(layer);
        Ok(info)
    }
}
