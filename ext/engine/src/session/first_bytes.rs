//! The bytes that a backend receives first: a PROXY header, then what the client has sent or its substitute.

use bytes::{Buf, Bytes, BytesMut};

use crate::proxy_protocol::Version;
use crate::{Client, Route, Socket, proxy_protocol};

/// The bytes for one backend. Dialing takes out what it has sent.
pub(crate) struct FirstBytes {
    pub(crate) unsent: Bytes,
    /// What goes before a TLS handshake, in clear; empty without TLS.
    pub(crate) clear: Bytes,
    /// Length of header and data before anything was sent.
    len: usize,
    header_len: usize,
    /// Version of the header, and whether it is in `clear`.
    header: (Option<Version>, bool),
    /// Whether the data is what the client has sent, and not the route's substitute.
    is_replay: bool,
}

impl FirstBytes {
    /// Takes the data from the route or, without a substitute there, from `received`.
    pub(crate) fn new(route: &mut Route, received: &mut Bytes) -> Self {
        let substitute = route.data.take();
        let is_replay = substitute.is_none();
        let data = substitute.unwrap_or_else(|| std::mem::take(received));
        let (len, clear) = (data.len(), Bytes::new());
        Self { unsent: data, clear, len, header_len: 0, header: (None, false), is_replay }
    }

    /// Puts the header for the next backend before the data, or before the handshake of one that speaks TLS. Without a
    /// version there is no header.
    pub(crate) fn set_header(
        &mut self,
        version: Option<Version>,
        is_encrypted: bool,
        socket: &Socket,
        client: &Client,
    ) {
        if self.header == (version, is_encrypted) {
            return;
        }
        self.header = (version, is_encrypted);
        // Nothing was sent: a connect that fails has sent nothing.
        self.unsent.advance(self.header_len);
        let header = match version {
            Some(version) => {
                let destination = client.local().or_else(|| socket.local_addr());
                proxy_protocol::header(version, client.address(), destination)
            }
            None => Bytes::new(),
        };
        if is_encrypted {
            (self.header_len, self.clear) = (0, header);
        } else {
            (self.header_len, self.clear) = (header.len(), Bytes::new());
            self.unsent = joined(&header, std::mem::take(&mut self.unsent));
        }
        self.len = self.unsent.len();
    }

    /// Returns the number of bytes that dialing has sent.
    pub(crate) fn sent(&self) -> usize {
        self.len - self.unsent.len() + self.clear.len()
    }

    /// Returns what the client has sent, for the next backend; `None` if a substitute took its place.
    pub(crate) fn into_received(mut self) -> Option<Bytes> {
        // Nothing was sent: a connect that fails has sent nothing.
        self.is_replay.then(|| {
            self.unsent.advance(self.header_len);
            self.unsent
        })
    }
}

/// Joins header and data, so that one write sends both.
fn joined(header: &Bytes, data: Bytes) -> Bytes {
    if header.is_empty() {
        return data;
    }
    let mut both = BytesMut::with_capacity(header.len() + data.len());
    both.extend_from_slice(header);
    both.extend_from_slice(&data);
    both.freeze()
}
