//! Certificates, TLS clients and TLS servers.

use std::sync::{Arc, LazyLock};

use proxymachine_engine::tls::rustls::crypto::aws_lc_rs::default_provider;
use proxymachine_engine::tls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use proxymachine_engine::tls::rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use proxymachine_engine::tls::{Authorities, Certificates, Exchange};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::support::within;

/// The name in the certificate of [`certificates`].
pub const NAME: &str = "proxy.example";

/// An authority and a certificate that it has signed.
pub struct Identity {
    pub roots: Arc<RootCertStore>,
    pub chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

impl Identity {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        Self { roots: Arc::new(roots), chain: vec![certificate.der().clone()], key: key.serialize_der() }
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

/// The identity of all tests that need no other.
pub static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::new(NAME));

pub static VERSIONS: &[&SupportedProtocolVersion] =
    &[&proxymachine_engine::tls::rustls::version::TLS12, &proxymachine_engine::tls::rustls::version::TLS13];

pub fn server_config() -> ServerConfig {
    ServerConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(IDENTITY.chain.clone(), IDENTITY.key())
        .unwrap()
}

pub fn client_config(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    ClientConfig::builder_with_provider(default_provider().into())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(Arc::clone(&identity.roots))
        .with_no_client_auth()
}

/// The certificates of the proxy.
pub fn certificates() -> Certificates {
    Certificates::new(Arc::new(server_config()))
}

/// The authorities that have signed the certificate of [`serve`].
pub fn authorities(exchanges: Vec<Exchange>) -> Authorities {
    let authorities = Authorities::new(Arc::new(client_config(&IDENTITY, VERSIONS)), exchanges);
    authorities.with_name(ServerName::try_from(NAME).unwrap())
}

pub fn any_client_config() -> ClientConfig {
    client_config(&IDENTITY, VERSIONS)
}

/// Makes a client's handshake.
pub async fn connect(stream: TcpStream) -> client::TlsStream<TcpStream> {
    connect_with(stream, client_config(&IDENTITY, VERSIONS)).await.unwrap()
}

pub async fn connect_with(
    stream: TcpStream,
    config: ClientConfig,
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(config));
    within("a client's handshake", connector.connect(ServerName::try_from(NAME).unwrap(), stream)).await
}

/// Makes a client's handshake over something else than a socket.
pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> client::TlsStream<S> {
    let connector = TlsConnector::from(Arc::new(any_client_config()));
    let connected = connector.connect(ServerName::try_from(NAME).unwrap(), stream);
    within("a client's handshake", connected).await.unwrap()
}

/// Makes a server's handshake.
pub async fn serve(stream: TcpStream) -> std::io::Result<server::TlsStream<TcpStream>> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config()));
    within("a server's handshake", acceptor.accept(stream)).await
}
