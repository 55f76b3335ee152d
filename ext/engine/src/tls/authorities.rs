//! Whom we trust: the authorities that sign the certificates of servers and clients, and what else a handshake with a
//! server needs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore};

use super::error::LoadError;
use super::identity::Identity;
use super::key_log::KeyLogger;
use super::own_certificate::OwnCertificate;
use super::pem::Pem;
use super::self_signed::SelfSignedVerifier;
use super::tickets::Digester;
use super::unverified::AcceptAny;
use super::x509::{self, CertificateInfo};
use super::{MinVersion, provider};

/// The authorities for servers and clients. Cheap to clone.
#[derive(Clone)]
pub struct Authorities(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    client_config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    starttls: Arc<[Exchange]>,
    trust: Arc<Trust>,
}

/// Who is trusted, and what was read.
#[derive(Debug)]
struct Trust {
    roots: Arc<RootCertStore>,
    revocation_lists: Vec<CertificateRevocationListDer<'static>>,
    verifies: bool,
    /// When a newer list was to come, by file, in seconds since 1970.
    next_updates: Vec<(String, i64)>,
    /// What the certificates of the files say, that which we show included. Those of the system are not there.
    infos: Vec<CertificateInfo>,
    digest: [u8; 32],
}

/// One step of what is exchanged in clear before a handshake with a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The bytes to send first, if there are any.
    pub send: Option<Bytes>,
    /// How the server's reply must begin. The rest of its line is dropped.
    pub expect: Bytes,
}

impl Exchange {
    /// Returns what PostgreSQL expects before a handshake: an `SSLRequest`, which the server answers with `S`
    /// (PostgreSQL's manual, "Message Flow", "SSL Session Encryption").
    #[must_use]
    pub fn postgres() -> Self {
        Self {
            send: Some(Bytes::from_static(b"\0\0\0\x08\x04\xd2\x16\x2f")),
            expect: Bytes::from_static(b"S"),
        }
    }
}

/// The options of [`Authorities`].
#[derive(Debug, Clone)]
pub struct AuthorityOptions {
    /// The file with the chain and the key that a server sees which asks for a certificate.
    pub certificate: Option<PathBuf>,
    /// The protocols offered by ALPN, in order of preference.
    pub alpn: Vec<Vec<u8>>,
    /// The lowest version of TLS.
    pub min_version: MinVersion,
    /// The files of revocation lists.
    pub revocation_lists: Vec<PathBuf>,
    /// What is exchanged in clear before the handshake.
    pub starttls: Vec<Exchange>,
    /// Whether a server's certificate is verified. If not, any server is trusted.
    pub verifies: bool,
}

impl Default for AuthorityOptions {
    fn default() -> Self {
        Self {
            certificate: None,
            alpn: Vec::new(),
            min_version: MinVersion::default(),
            revocation_lists: Vec::new(),
            starttls: Vec::new(),
            verifies: true,
        }
    }
}

/// The system's authorities, once they have been read.
static SYSTEM: Mutex<Option<Authorities>> = Mutex::new(None);

impl Authorities {
    /// Creates authorities from a configuration of rustls. They verify no clients.
    #[must_use]
    pub fn new(client_config: Arc<ClientConfig>, starttls: Vec<Exchange>) -> Self {
        let trust = Trust {
            roots: Arc::new(RootCertStore::empty()),
            revocation_lists: Vec::new(),
            next_updates: Vec::new(),
            verifies: true,
            infos: Vec::new(),
            digest: Digester::new("authorities").finish(),
        };
        Self(Arc::new(Inner { client_config, name: None, starttls: starttls.into(), trust: Arc::new(trust) }))
    }

    /// Reads files of trusted certificates; without any, those of the system, for which `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` count.
    ///
    /// # Errors
    /// Returns an error that names the first file that cannot be used.
    pub fn read(files: &[PathBuf], options: &AuthorityOptions) -> Result<Self, LoadError> {
        let mut trusted = Vec::new();
        let mut trust = Trust {
            roots: Arc::new(RootCertStore::empty()),
            revocation_lists: Vec::new(),
            next_updates: Vec::new(),
            verifies: options.verifies,
            infos: Vec::new(),
            digest: [0; 32],
        };
        trust.roots = Arc::new(match files {
            [] if !options.verifies => RootCertStore::empty(),
            [] => system_roots()?,
            files => read_roots(files, &mut trust.infos, &mut trusted)?,
        });
        for path in &options.revocation_lists {
            read_revocation_lists(path, &mut trust)?;
        }
        trust.digest = trust.compute_digest();
        let identity = options.certificate.as_deref().map(Identity::read).transpose()?;
        let client_config = client_config(&trust, trusted, identity.as_ref(), options)?;
        trust.infos.extend(identity.map(|identity| identity.info));
        Ok(Self(Arc::new(Inner {
            client_config: Arc::new(client_config),
            name: None,
            starttls: options.starttls.clone().into(),
            trust: Arc::new(trust),
        })))
    }

    /// Returns the authorities of the system without further options. They are read once, until
    /// [`forget_system`](Self::forget_system).
    ///
    /// # Errors
    /// Returns an error if the system has none.
    pub fn system() -> Result<Self, LoadError> {
        let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = &*system {
            return Ok(system.clone());
        }
        let read = Self::read(&[], &AuthorityOptions::default())?;
        Ok(system.insert(read).clone())
    }

    /// Has the authorities of the system read again when they are used next.
    pub fn forget_system() {
        SYSTEM.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Returns the same authorities with the name that a server's certificate must have.
    #[must_use]
    pub fn with_name(&self, name: ServerName<'static>) -> Self {
        Self(Arc::new(Inner { name: Some(name), ..(*self.0).clone() }))
    }

    /// Returns the configuration for a handshake with a server.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0.client_config)
    }

    /// Returns the name that a server's certificate must have; `None` for the remote's host.
    #[must_use]
    pub fn name(&self) -> Option<&ServerName<'static>> {
        self.0.name.as_ref()
    }

    /// Returns what is exchanged in clear before the handshake.
    #[must_use]
    pub fn starttls(&self) -> &[Exchange] {
        &self.0.starttls
    }

    /// Returns whether certificates are verified.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.0.trust.verifies
    }

    /// Returns what the certificates of the files say. Those of the system are not there.
    #[must_use]
    pub fn infos(&self) -> &[CertificateInfo] {
        &self.0.trust.infos
    }

    /// Returns when newer revocation lists were to come: by file, in seconds since 1970.
    #[must_use]
    pub fn revocation_lists(&self) -> &[(String, i64)] {
        &self.0.trust.next_updates
    }

    /// Returns how many authorities are trusted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.trust.roots.len()
    }

    /// Returns a digest of who is trusted and what is revoked.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.0.trust.digest
    }

    /// Returns what verifies the certificates of clients. If it is optional, a client without one is served.
    ///
    /// # Errors
    /// Returns the reason of rustls if no authority is trusted, or a revocation list is of no use.
    pub(super) fn client_verifier(&self, is_optional: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let Trust { roots, revocation_lists, .. } = &*self.0.trust;
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
            .with_crls(revocation_lists.iter().cloned())
            .allow_unknown_revocation_status();
        if is_optional {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| error.to_string())
    }
}

impl Trust {
    fn compute_digest(&self) -> [u8; 32] {
        let mut digester = Digester::new("authorities");
        for root in &self.roots.roots {
            digester.add(&root.subject);
            digester.add(&root.subject_public_key_info);
        }
        self.revocation_lists.iter().for_each(|list| digester.add(list));
        digester.finish()
    }
}

fn client_config(
    trust: &Trust,
    trusted: Vec<CertificateDer<'static>>,
    identity: Option<&Identity>,
    options: &AuthorityOptions,
) -> Result<ClientConfig, LoadError> {
    let failed = |reason| LoadError::Setup { source_name: "these authorities".into(), reason };
    let verifier: Arc<dyn ServerCertVerifier> = if trust.verifies {
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::clone(&trust.roots), provider())
            .with_crls(trust.revocation_lists.iter().cloned())
            .allow_unknown_revocation_status()
            .build()
            .map_err(|error| match error {
                VerifierBuilderError::InvalidCrl(reason) => LoadError::RevocationList {
                    source_name: names(&options.revocation_lists),
                    reason: format!("{reason:?}"),
                },
                error => failed(error.to_string()),
            })?;
        Arc::new(SelfSignedVerifier { webpki, trusted })
    } else {
        Arc::new(AcceptAny)
    };
    let own = OwnCertificate(identity.map(|identity| Arc::clone(&identity.certified_key)));
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(options.min_version.versions())
        .map_err(|error| failed(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(own));
    config.alpn_protocols.clone_from(&options.alpn);
    config.key_log = Arc::new(KeyLogger);
    Ok(config)
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn system_roots() -> Result<RootCertStore, LoadError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system has certificates that no verifier can use, so that the others count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(LoadError::NoSystemAuthorities { reason });
    }
    Ok(roots)
}

fn read_roots(
    files: &[PathBuf],
    infos: &mut Vec<CertificateInfo>,
    trusted: &mut Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, LoadError> {
    let mut roots = RootCertStore::empty();
    for path in files {
        let source_name = path.display().to_string();
        let pem = Pem::read(path)?;
        if pem.certificates.is_empty() {
            return Err(LoadError::NoCertificate { source_name });
        }
        for (number, certificate) in (1..).zip(pem.certificates) {
            let invalid =
                |reason| LoadError::Certificate { source_name: source_name.clone(), number, reason };
            infos.push(CertificateInfo::parse(&certificate, &source_name).map_err(invalid)?);
            trusted.push(certificate.clone());
            roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
        }
    }
    Ok(roots)
}

fn read_revocation_lists(path: &Path, trust: &mut Trust) -> Result<(), LoadError> {
    let source_name = path.display().to_string();
    let lists = Pem::read(path)?.revocation_lists;
    if lists.is_empty() {
        return Err(LoadError::NoRevocationList { source_name });
    }
    for list in lists {
        let invalid = |reason| LoadError::RevocationList { source_name: source_name.clone(), reason };
        let next_update = x509::next_update(&list).map_err(invalid)?;
        trust.next_updates.extend(next_update.map(|next_update| (source_name.clone(), next_update)));
        trust.revocation_lists.push(list);
    }
    Ok(())
}

/// Shows no key.
impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities").field("name", &self.0.name).finish_non_exhaustive()
    }
}
