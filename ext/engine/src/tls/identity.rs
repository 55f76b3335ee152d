//! A certificate chain with its private key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::error::LoadError;
use super::pem::{Key, Pem};
use super::x509::CertificateInfo;

/// A chain with its key, and what the leaf says.
#[derive(Debug)]
pub struct Identity {
    /// The chain, leaf first, and the key.
    pub certified_key: Arc<CertifiedKey>,
    /// What the leaf says.
    pub info: CertificateInfo,
}

impl Identity {
    /// Reads a file with a chain. The key stands in the file, or beside it.
    ///
    /// # Errors
    /// Returns an error if there is no chain with its key.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        Self::from_file(Pem::read(path)?, path)
    }

    /// Makes the identity of a file that has been read.
    pub(super) fn from_file(mut pem: Pem, path: &Path) -> Result<Self, LoadError> {
        let source_name = path.display().to_string();
        if pem.certificates.is_empty() {
            return Err(LoadError::NoCertificate { source_name });
        }
        if !pem.keys.is_empty() || pem.has_encrypted_key {
            return Self::new(pem.certificates, pem.keys, pem.has_encrypted_key, &source_name, &source_name);
        }
        let key_path = key_beside(path).filter(|key_path| key_path != path);
        let tried = key_path.as_ref().map(|key_path| key_path.display().to_string());
        let Some(key_path) = key_path.filter(|key_path| key_path.exists()) else {
            return Err(LoadError::NoKey { source_name, tried });
        };
        let key_file = Pem::read(&key_path)?;
        let key_source = key_path.display().to_string();
        if key_file.keys.is_empty() && !key_file.has_encrypted_key {
            return Err(LoadError::NoKey { source_name: key_source, tried: None });
        }
        pem.keys = key_file.keys;
        Self::new(pem.certificates, pem.keys, key_file.has_encrypted_key, &source_name, &key_source)
    }

    /// Parses a text with a chain and its key.
    ///
    /// # Errors
    /// Returns an error if there is no chain with its key.
    pub fn parse(text: &[u8]) -> Result<Self, LoadError> {
        let source_name = ":pem";
        let pem = Pem::parse(text, source_name)?;
        if pem.certificates.is_empty() {
            return Err(LoadError::NoCertificate { source_name: source_name.into() });
        }
        if pem.keys.is_empty() && !pem.has_encrypted_key {
            return Err(LoadError::NoKey { source_name: source_name.into(), tried: None });
        }
        Self::new(pem.certificates, pem.keys, pem.has_encrypted_key, source_name, source_name)
    }

    /// Joins a chain with that of the keys which is the leaf's.
    fn new(
        chain: Vec<CertificateDer<'static>>,
        keys: Vec<Key>,
        has_encrypted_key: bool,
        source_name: &str,
        key_source: &str,
    ) -> Result<Self, LoadError> {
        let invalid =
            |reason| LoadError::Certificate { source_name: source_name.to_owned(), number: 1, reason };
        let info = CertificateInfo::parse(&chain[0], source_name).map_err(invalid)?;
        let mut error = None;
        for key in keys {
            let key = match any_supported_type(&key) {
                Ok(key) => key,
                Err(reason) => {
                    let reason = reason.to_string();
                    error.get_or_insert(LoadError::Key { source_name: key_source.to_owned(), reason });
                    continue;
                }
            };
            let certified_key = CertifiedKey::new(chain.clone(), key);
            match certified_key.keys_match() {
                Ok(()) => return Ok(Self { certified_key: Arc::new(certified_key), info }),
                Err(rustls::Error::InconsistentKeys(_)) => {}
                Err(reason) => return Err(invalid(plain(&reason))),
            }
            error.get_or_insert(LoadError::OtherKey {
                source_name: source_name.to_owned(),
                key_source: key_source.to_owned(),
            });
        }
        let encrypted = || LoadError::EncryptedKey { source_name: key_source.to_owned() };
        Err(if has_encrypted_key { encrypted() } else { error.unwrap_or_else(encrypted) })
    }
}

/// Returns why rustls cannot use a certificate. The commonest reason has no message of its own.
fn plain(reason: &rustls::Error) -> String {
    let text = reason.to_string();
    if text.contains("UnsupportedCertVersion") {
        return "it is of X.509 version 1, which openssl x509 -req makes without -extfile".into();
    }
    text
}

/// Returns where the key of a chain stands: `privkey.pem` beside `fullchain.pem` (certbot), else `NAME.key`.
fn key_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?;
    Some(if name == "fullchain.pem" {
        path.with_file_name("privkey.pem")
    } else {
        path.with_extension("key")
    })
}
