//! What a handshake has negotiated, for the router and the access log.

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

/// A TLS connection after its handshake.
#[derive(Debug, Clone)]
pub struct TlsInfo {
    /// The server name that the client asked for.
    pub sni: Option<Box<str>>,
    /// The protocol that both sides have agreed on.
    pub alpn: Option<Box<[u8]>>,
    /// The version.
    pub version: TlsVersion,
    /// The cipher suite by IANA's name.
    pub cipher: &'static str,
    /// The group of the key exchange by IANA's name; `None` for a resumed TLS 1.2 connection, which has none.
    pub key_exchange: Option<&'static str>,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// The peer's certificates in DER, the leaf first; empty if the peer has shown none.
    pub chain: Box<[CertificateDer<'static>]>,
}

/// A version of TLS. Displays as OpenSSL writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

impl TlsVersion {
    /// Returns the name, such as "TLSv1.3".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V12 => "TLSv1.2",
            Self::V13 => "TLSv1.3",
        }
    }

    pub(crate) fn of(negotiated: &CommonState) -> Option<Self> {
        match negotiated.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(Self::V12),
            ProtocolVersion::TLSv1_3 => Some(Self::V13),
            _ => None,
        }
    }
}

impl TlsInfo {
    pub(crate) fn of(negotiated: &CommonState, sni: Option<Box<str>>) -> Self {
        let suite = negotiated.negotiated_cipher_suite().map(|suite| suite.suite());
        let group = negotiated.negotiated_key_exchange_group().map(|group| group.name());
        Self {
            sni,
            alpn: negotiated.alpn_protocol().map(Box::from),
            version: TlsVersion::of(negotiated).unwrap_or(TlsVersion::V13),
            cipher: suite.map_or("", cipher_name),
            key_exchange: group.map(group_name),
            is_resumed: negotiated.handshake_kind() == Some(HandshakeKind::Resumed),
            chain: negotiated.peer_certificates().map(Box::from).unwrap_or_default(),
        }
    }
}

/// Returns IANA's name of a cipher suite. rustls's names for TLS 1.3 begin otherwise.
fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        other => other.as_str().unwrap_or_default(),
    }
}

/// Returns IANA's name of a group. rustls's names differ in case.
fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "x25519",
        NamedGroup::X448 => "x448",
        other => other.as_str().unwrap_or_default(),
    }
}
