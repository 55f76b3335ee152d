//! Who we are: the certificates that a TLS client sees, and what is asked of the client.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::authorities::Authorities;
use super::error::LoadError;
use super::identity::Identity;
use super::key_log::KeyLogger;
use super::pem::Pem;
use super::selection::CertificateSelector;
use super::tickets::{Digester, Ticketer};
use super::x509::CertificateInfo;
use super::{MinVersion, provider};

/// Tickets for each handshake. One is enough for the client's next connection, which gets the next ticket.
const TICKETS: usize = 1;

/// The certificates, and what is asked of a client. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    server_config: Arc<ServerConfig>,
    infos: Vec<CertificateInfo>,
}

/// The options of [`Certificates`].
#[derive(Debug, Clone, Default)]
pub struct CertificateOptions {
    /// The protocols offered by ALPN, in order of preference. Without any, ALPN is ignored.
    pub alpn: Vec<Vec<u8>>,
    /// The lowest version of TLS.
    pub min_version: MinVersion,
    /// Those that sign the certificates of clients. None: no client is asked for one.
    pub client: Option<Authorities>,
    /// Whether a client without a certificate is served, too.
    pub is_client_optional: bool,
    /// Whether a name that no certificate has is refused. If not, the first certificate answers.
    pub is_strict: bool,
}

/// A file of certificates.
#[derive(Debug, Clone)]
pub struct CertificatePath {
    /// The file.
    pub path: PathBuf,
    /// Whether a glob found it: then it is passed over if it has keys alone.
    pub is_from_glob: bool,
}

impl Certificates {
    /// Creates certificates from a configuration of rustls.
    #[must_use]
    pub fn new(server_config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(Inner { server_config, infos: Vec::new() }))
    }

    /// Reads files, each of which has a chain, leaf first, and its key.
    ///
    /// # Errors
    /// Returns an error that names the first file that cannot be used.
    pub fn read(files: &[CertificatePath], options: &CertificateOptions) -> Result<Self, LoadError> {
        let mut identities = Vec::with_capacity(files.len());
        for CertificatePath { path, is_from_glob } in files {
            let pem = Pem::read(path)?;
            if !(*is_from_glob && pem.is_key_only()) {
                identities.push(Identity::from_file(pem, path)?);
            }
        }
        if identities.is_empty() {
            let names: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
            return Err(LoadError::NothingFound { source_name: names.join(", ") });
        }
        Self::from_identities(identities, options)
    }

    /// Parses a text with a chain, leaf first, and its key.
    ///
    /// # Errors
    /// Returns an error if the text cannot be used.
    pub fn parse(text: &[u8], options: &CertificateOptions) -> Result<Self, LoadError> {
        Self::from_identities(vec![Identity::parse(text)?], options)
    }

    fn from_identities(identities: Vec<Identity>, options: &CertificateOptions) -> Result<Self, LoadError> {
        let failed = |reason: String| {
            let names: Vec<_> =
                identities.iter().map(|identity| identity.info.source_name.as_str()).collect();
            LoadError::Setup { source_name: names.join(", "), reason }
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(options.min_version.versions())
            .map_err(|error| failed(error.to_string()))?;
        let verifier = match &options.client {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(client) => client.client_verifier(options.is_client_optional).map_err(failed)?,
        };
        let selector = CertificateSelector::new(&identities, options.is_strict);
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(selector));
        config.alpn_protocols.clone_from(&options.alpn);
        config.send_tls13_tickets = TICKETS;
        config.ticketer = Arc::new(Ticketer::new(ticket_context(&identities, options)));
        // Tickets hold the sessions, so that all threads and processes know them.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.key_log = Arc::new(KeyLogger);
        let infos = identities.into_iter().map(|identity| identity.info).collect();
        Ok(Self(Arc::new(Inner { server_config: Arc::new(config), infos })))
    }

    /// Returns the configuration for a handshake with a client.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.server_config)
    }

    /// Returns what the certificates say, in the order of the configuration.
    #[must_use]
    pub fn infos(&self) -> &[CertificateInfo] {
        &self.0.infos
    }
}

/// Returns what a session must have in common with the certificates to be resumed with them. A ticket brings back the
/// client's certificate, so it must not outlive a change of those who may sign it; and it must not speak for another
/// name. A renewed certificate changes nothing.
fn ticket_context(identities: &[Identity], options: &CertificateOptions) -> [u8; 32] {
    let mut digester = Digester::new("certificates");
    for identity in identities {
        digester.add(identity.info.name.as_bytes());
        identity.info.dns_names.iter().for_each(|name| digester.add(name.as_bytes()));
    }
    digester.add(&[u8::from(options.is_client_optional)]);
    if let Some(client) = &options.client {
        digester.add(client.digest());
    }
    digester.finish()
}

/// Shows no key.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificates").field(&self.0.infos).finish()
    }
}
