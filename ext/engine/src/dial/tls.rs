//! Dialing a backend that speaks TLS: connect, PROXY header and STARTTLS in clear, handshake.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use super::resolver::Resolver;
use super::starttls::exchange;
use super::{Attempt, AttemptError, connect_backend};
use crate::net::stream::Stream;
use crate::observer::metrics::TlsSide;
use crate::tls::{Authorities, Connection, Handshake, HandshakeError, Transport};
use crate::{Client, Remote, Socket};

/// Limits of the wait for what a server says about our certificate, if another server could be tried. Within them the wait
/// is as long as the handshake was, which had a round trip and the server's work, too.
const MIN_CONFIRM_TIMEOUT: Duration = Duration::from_millis(20);
const MAX_CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to one backend and makes the handshake, both within the time limit. `clear` is sent before. The handshake counts
/// in the metrics of the client's listener; a check has no client.
pub(super) async fn attempt_tls(
    resolver: &Arc<Resolver>,
    attempt: &Attempt<'_>,
    authorities: &Authorities,
    clear: &Bytes,
    client: Option<&Client>,
) -> Result<Transport, AttemptError> {
    let begun = Instant::now();
    let name = server_name(authorities, attempt.declared)?;
    let connection = Connection::client(authorities.client_config(), name).map_err(HandshakeError::from)?;
    let mut handshake = Handshake::new(connection, &[]);
    // The first message travels with the connect.
    let mut first = BytesMut::from(&clear[..]);
    let starttls = authorities.starttls();
    match starttls.first() {
        None => first.extend_from_slice(&handshake.first_flight()?),
        Some(exchange) => first.extend_from_slice(exchange.send.as_deref().unwrap_or_default()),
    }
    let mut first = first.freeze();
    let socket = connect_backend(resolver, attempt, &mut first).await.map_err(AttemptError::Connect)?;
    let connected = Instant::now();
    let limit = attempt.limit;
    let complete = async {
        write_all(&socket, first).await?;
        exchange(&socket, starttls).await?;
        let mut done = handshake.complete(&socket).await;
        if done.is_ok() && attempt.has_next {
            let limit = connected.elapsed().clamp(MIN_CONFIRM_TIMEOUT, MAX_CONFIRM_TIMEOUT);
            done = handshake.confirm(&socket, limit).await;
        }
        if let Err(error) = &done {
            handshake.send_alert(&socket, error).await;
        }
        done
    };
    let done = match timeout(limit.saturating_sub(begun.elapsed()), complete).await {
        Ok(done) => done,
        Err(_) => Err(HandshakeError::Timeout(limit)),
    };
    let done = done.map(|()| handshake.finish());
    let info = done.as_ref().ok().map(|(_, info)| info);
    if let Some(client) = client {
        client.metrics().handshake(TlsSide::Backend, info, connected.elapsed());
    }
    let (layer, _) = done?;
    let transport = Transport::new(socket);
    transport.encrypt(layer);
    Ok(transport)
}

/// Returns the name that the backend's certificate must have.
fn server_name(authorities: &Authorities, remote: &Remote) -> Result<ServerName<'static>, HandshakeError> {
    if let Some(name) = authorities.name() {
        return Ok(name.clone());
    }
    ServerName::try_from(remote.host().to_owned()).map_err(|_| {
        HandshakeError::Reply(format!("{remote} has no host name that a certificate could have").into())
    })
}

/// Writes all of `bytes`.
pub(super) async fn write_all(socket: &Socket, mut bytes: Bytes) -> Result<(), HandshakeError> {
    while !bytes.is_empty() {
        let count = std::future::poll_fn(|cx| socket.poll_write(cx, &bytes, false)).await?;
        bytes::Buf::advance(&mut bytes, count);
    }
    Ok(())
}
