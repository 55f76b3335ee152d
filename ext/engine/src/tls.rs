//! TLS: connections that end here, and connections that begin here.
//!
//! rustls does the protocol and aws-lc-rs the cryptography. This module has the identities that a configuration names
//! ([`Certificates`], [`Authorities`]).

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

pub mod authorities;
pub mod cache;
pub mod certificates;
mod connection;
mod error;
pub mod handshake;
mod identity;
pub mod info;
pub mod key_log;
mod own_certificate;
mod pem;
mod selection;
mod self_signed;
mod stream;
pub mod tickets;
mod transport;
mod unverified;
mod x509;

pub use authorities::{Authorities, AuthorityOptions, Exchange};
pub use cache::{CertificateCache, MAX_TEXTS};
pub use certificates::{CertificateOptions, CertificatePath, Certificates};
pub use error::LoadError;
pub use handshake::HandshakeError;
pub use info::{TlsInfo, TlsVersion};
pub use pem::Pem;
pub use rustls;
pub use selection::alert_instead;
pub use x509::{CertificateInfo, now};

pub(crate) use connection::Connection;
pub(crate) use handshake::Handshake;
pub(crate) use transport::Transport;

/// The lowest version of TLS that a configuration allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MinVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 alone.
    Tls13,
}

impl MinVersion {
    fn versions(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self {
            Self::Tls12 => &VERSIONS,
            Self::Tls13 => &VERSIONS[..1],
        }
    }
}

/// Returns the cryptography of all configurations: aws-lc-rs, with the post-quantum key exchange X25519MLKEM768 first.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let provider = aws_lc_rs::default_provider();
        // aws-lc collects entropy for 40 ms before its first random number. The thread that loads the configuration
        // does that here; in the first handshake it would delay the relays of an engine thread. If it fails, so does
        // the handshake.
        let _ = provider.secure_random.fill(&mut [0]);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}
