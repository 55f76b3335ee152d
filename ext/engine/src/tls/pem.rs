//! Reads PEM: certificates, keys and revocation lists, in any order and between other text.

use std::fs;
use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject, SectionKind};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer,
    PrivateSec1KeyDer,
};
use zeroize::Zeroizing;

use super::error::LoadError;

/// Bytes of a file or text. A file that is longer is none of ours: `/dev/zero`, or a disk image.
const MAX_SIZE: usize = 16 << 20;

/// A private key, which is erased from memory when it is dropped.
pub type Key = Zeroizing<PrivateKeyDer<'static>>;

/// What a PEM text has.
#[derive(Debug, Default)]
pub struct Pem {
    /// Certificates, in the order of the text.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Keys in clear, in the order of the text.
    pub keys: Vec<Key>,
    /// Revocation lists, in the order of the text.
    pub revocation_lists: Vec<CertificateRevocationListDer<'static>>,
    /// Whether there is a key that needs a passphrase.
    pub has_encrypted_key: bool,
}

impl Pem {
    /// Reads a file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or is damaged.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let source_name = path.display().to_string();
        let failed = |error| LoadError::Read { source_name: source_name.clone(), error };
        // A FIFO would block, a device would never end.
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(std::io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Err(failed(std::io::Error::other("it is no regular file")));
        }
        if metadata.len() > MAX_SIZE as u64 {
            return Err(failed(std::io::Error::other("it is larger than 16 MiB")));
        }
        Self::parse(&Zeroizing::new(fs::read(path).map_err(failed)?), &source_name)
    }

    /// Parses a text. Sections of other kinds, and what stands between sections, are passed over.
    ///
    /// # Errors
    /// Returns an error if a section is damaged.
    pub fn parse(text: &[u8], source_name: &str) -> Result<Self, LoadError> {
        let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text); // Editors on Windows begin a file with it.
        let mut pem = Self { has_encrypted_key: has_encrypted_key(text), ..Self::default() };
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            let (kind, der) = match section {
                Ok(section) => section,
                // The headers of a legacy encrypted key are no base64.
                Err(Error::Base64Decode(_)) if pem.has_encrypted_key => continue,
                Err(error) => {
                    let reason = reason(&error);
                    return Err(LoadError::Pem { source_name: source_name.to_owned(), reason });
                }
            };
            match kind {
                SectionKind::Certificate => pem.certificates.push(der.into()),
                SectionKind::PrivateKey => pem.keys.push(Key::new(PrivatePkcs8KeyDer::from(der).into())),
                SectionKind::RsaPrivateKey => pem.keys.push(Key::new(PrivatePkcs1KeyDer::from(der).into())),
                SectionKind::EcPrivateKey => pem.keys.push(Key::new(PrivateSec1KeyDer::from(der).into())),
                SectionKind::Crl => pem.revocation_lists.push(der.into()),
                _ => {}
            }
        }
        Ok(pem)
    }

    /// Returns whether the text has keys and nothing else.
    #[must_use]
    pub fn is_key_only(&self) -> bool {
        self.certificates.is_empty() && (self.has_encrypted_key || !self.keys.is_empty())
    }
}

/// Returns whether a text has an encrypted key: PKCS#8 (RFC 7468, section 11), or OpenSSL's older form with headers
/// (RFC 1421, section 4.6.1.1).
fn has_encrypted_key(text: &[u8]) -> bool {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || (line.starts_with(b"Proc-Type:") && line.trim_ascii_end().ends_with(b"ENCRYPTED"))
    })
}

/// Returns the reason of an error without quoting the text, which may be part of a key.
fn reason(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "a section has no END line".into(),
        Error::IllegalSectionStart { .. } => "a BEGIN line is malformed".into(),
        Error::Base64Decode(_) => "a section is no base64".into(),
        _ => "it cannot be read".into(),
    }
}
