//! Authorities that issue certificates, files for them, and handshakes in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proxymachine_engine::tls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use proxymachine_engine::tls::rustls::crypto::aws_lc_rs;
use proxymachine_engine::tls::rustls::pki_types::pem::PemObject;
use proxymachine_engine::tls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use proxymachine_engine::tls::rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConnection, SignatureScheme,
    SupportedProtocolVersion, version,
};
use proxymachine_engine::tls::{
    Authorities, AuthorityOptions, CertificateOptions, CertificatePath, Certificates,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate in PEM, and its key.
pub struct Issued {
    pub certificate: String,
    pub key: String,
    serial: u64,
}

impl Issued {
    pub fn pem(&self) -> String {
        format!("{}{}", self.certificate, self.key)
    }

    fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// Kinds of keys.
pub const ECDSA: &rcgen::SignatureAlgorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
pub const RSA: &rcgen::SignatureAlgorithm = &rcgen::PKCS_RSA_SHA256;
pub const ED25519: &rcgen::SignatureAlgorithm = &rcgen::PKCS_ED25519;

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn issue(&self, names: &[&str], kind: &'static rcgen::SignatureAlgorithm) -> Issued {
        self.issue_with(names, kind, |_| {})
    }

    /// Issues a certificate that has expired.
    pub fn issue_expired(&self, name: &str) -> Issued {
        self.issue_with(&[name], ECDSA, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    fn issue_with(
        &self,
        names: &[&str],
        kind: &'static rcgen::SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        static SERIAL: AtomicUsize = AtomicUsize::new(1);
        let key = KeyPair::generate_for(kind).unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let serial = SERIAL.fetch_add(1, Relaxed) as u64;
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), serial }
    }

    /// Returns a revocation list.
    pub fn revoke(&self, revoked: &[&Issued]) -> String {
        let revoked = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2024, 2, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }

    /// Returns authorities of this one alone.
    pub fn trusted(&self) -> Authorities {
        self.trusted_with(&AuthorityOptions::default())
    }

    pub fn trusted_with(&self, options: &AuthorityOptions) -> Authorities {
        let directory = Directory::new();
        Authorities::read(&[directory.file("authority.pem", self.pem())], options).unwrap()
    }
}

/// A temporary directory, which is removed in the end.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("proxymachine-tls-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns certificates of several files, in this order.
pub fn certificates(issued: &[&Issued], options: &CertificateOptions) -> Certificates {
    let directory = Directory::new();
    let file = |(index, issued): (usize, &&Issued)| CertificatePath {
        path: directory.file(&format!("{index}.pem"), issued.pem()),
        is_from_glob: false,
    };
    Certificates::read(&issued.iter().enumerate().map(file).collect::<Vec<_>>(), options).unwrap()
}

/// What a client does and can do.
#[derive(Clone)]
pub struct Peer {
    pub name: &'static str,
    pub version: &'static SupportedProtocolVersion,
    pub has_ecdsa: bool,
    pub alpn: Vec<Vec<u8>>,
    /// What it shows if it is asked for a certificate.
    pub certificate: Option<String>,
}

impl Peer {
    /// A client that asks for a name. An IP address is not asked for.
    pub fn new(name: &'static str) -> Self {
        Self { name, version: &version::TLS13, has_ecdsa: true, alpn: Vec::new(), certificate: None }
    }

    pub fn config(&self) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[self.version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous { has_ecdsa: self.has_ecdsa }));
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect();
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        config
    }

    /// Makes a handshake. Returns both ends, or the errors of the server and of this client.
    pub fn connect(&self, certificates: &Certificates) -> Result<Pair, Box<Failure>> {
        connect(&Arc::new(self.config()), self.name, certificates)
    }

    /// Makes a handshake. Returns whether the server shows a certificate.
    pub fn is_shown(&self, issued: &Issued, certificates: &Certificates) -> bool {
        let pair = self.connect(certificates).unwrap();
        pair.client.peer_certificates().unwrap()[0] == issued.der()
    }
}

/// Trusts any server, with or without ECDSA.
#[derive(Debug)]
struct Credulous {
    has_ecdsa: bool,
}

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let rsa = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        let ecdsa = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519];
        rsa.into_iter().chain(ecdsa.into_iter().filter(|_| self.has_ecdsa)).collect()
    }
}

/// Both ends of a connection after its handshake.
#[derive(Debug)]
pub struct Pair {
    pub client: ClientConnection,
    pub server: ServerConnection,
}

/// Why a handshake has failed.
#[derive(Debug)]
pub struct Failure {
    pub server: Option<Error>,
    pub client: Option<Error>,
}

/// Makes a handshake in memory.
pub fn connect(
    config: &Arc<ClientConfig>,
    name: &str,
    certificates: &Certificates,
) -> Result<Pair, Box<Failure>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut server = ServerConnection::new(certificates.server_config()).unwrap();
    let mut failure = Failure { server: None, client: None };
    while client.wants_write() || server.wants_write() {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() && failure.server.is_none() {
            let mut unread = &bytes[..];
            server.read_tls(&mut unread).unwrap();
            bytes = unread.to_vec();
            failure.server = server.process_new_packets().err();
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() && failure.client.is_none() {
            let mut unread = &bytes[..];
            client.read_tls(&mut unread).unwrap();
            bytes = unread.to_vec();
            failure.client = client.process_new_packets().err();
        }
    }
    if failure.client.is_some() || failure.server.is_some() {
        Err(failure.into())
    } else {
        Ok(Pair { client, server })
    }
}
