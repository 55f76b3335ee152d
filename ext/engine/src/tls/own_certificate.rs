//! The certificate that we show to a server that asks for one.

use std::cell::Cell;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

thread_local! {
    /// Whether a server has asked since the last look. rustls tells nobody but the resolver, which all connections share,
    /// and calls it on the thread that processes the server's records.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether a server has asked for a certificate while this thread processed its records, and forgets it.
pub(super) fn take_asked() -> bool {
    ASKED.take()
}

/// Shows one certificate, or none, to each server that asks.
#[derive(Debug)]
pub(super) struct OwnCertificate(pub(super) Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        ASKED.set(true);
        self.0.clone()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
