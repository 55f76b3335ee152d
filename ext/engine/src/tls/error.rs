//! Why certificates, keys or authorities cannot be used. Each message names the file and the cure.

use std::io;

use crate::error::plain;

/// A file, or a text, that is no certificate, key, authority or revocation list as it has to be.
///
/// The `source_name` of a variant is the path of the file, or ":pem" for a text.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {source_name}: {}{}", plain(error), cure(error))]
    Read {
        /// The file.
        source_name: String,
        /// The system's error.
        error: io::Error,
    },
    /// The text is damaged.
    #[error(
        "{source_name} is no valid PEM ({reason}): copy it again, from the first BEGIN to the last END line"
    )]
    Pem {
        /// The file.
        source_name: String,
        /// The parser's reason.
        reason: String,
    },
    /// The text has no certificate.
    #[error(
        "{source_name} has no certificate: it takes PEM, with a line \"-----BEGIN CERTIFICATE-----\" \
         (`openssl x509 -inform der` converts DER)"
    )]
    NoCertificate {
        /// The file.
        source_name: String,
    },
    /// The chain has no key.
    #[error("{source_name} has no private key: add the key to it{}", beside(tried))]
    NoKey {
        /// The file.
        source_name: String,
        /// The file beside it where the key might have been.
        tried: Option<String>,
    },
    /// No file of a list has a certificate.
    #[error("none of {source_name} has a certificate with its key: name a file with a chain, leaf first")]
    NothingFound {
        /// The paths.
        source_name: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "the private key in {key_source} is not the key of the first certificate in {source_name}: \
         the chain begins with the certificate of the key, and both are renewed together"
    )]
    OtherKey {
        /// The file of the chain.
        source_name: String,
        /// The file of the key.
        key_source: String,
    },
    /// The key needs a passphrase.
    #[error(
        "the private key in {source_name} is encrypted: ProxyMachine asks for no passphrase, so write the key without one \
         (openssl pkey -in ENCRYPTED -out PLAIN, mode 0600)"
    )]
    EncryptedKey {
        /// The file of the key.
        source_name: String,
    },
    /// The key is of a kind that TLS does not use, or it is damaged.
    #[error(
        "the private key in {source_name} cannot be used ({reason}): it takes RSA of 2048 to 8192 bits, \
         ECDSA P-256, P-384 or P-521, or Ed25519"
    )]
    Key {
        /// The file of the key.
        source_name: String,
        /// The reason of the cryptographic library.
        reason: String,
    },
    /// A certificate is damaged, or of a kind that is not supported.
    #[error("certificate {number} in {source_name} cannot be used ({reason}): issue or copy it again")]
    Certificate {
        /// The file.
        source_name: String,
        /// The position of the certificate in the file, from 1.
        number: usize,
        /// The reason of the parser.
        reason: String,
    },
    /// The system has no trusted certificates.
    #[error(
        "this system has no trusted certificates{reason}: install ca-certificates, set SSL_CERT_FILE or SSL_CERT_DIR, \
         or name a file"
    )]
    NoSystemAuthorities {
        /// The first error, in brackets, or nothing.
        reason: String,
    },
    /// The file has no revocation list.
    #[error(
        "{source_name} has no revocation list: it takes PEM, with a line \"-----BEGIN X509 CRL-----\" \
         (`openssl crl -inform der` converts DER)"
    )]
    NoRevocationList {
        /// The file.
        source_name: String,
    },
    /// A revocation list is damaged, or of a kind that is not supported.
    #[error("a revocation list in {source_name} cannot be used ({reason}): it takes full lists of version 2")]
    RevocationList {
        /// The file.
        source_name: String,
        /// The reason of the parser.
        reason: String,
    },
    /// rustls refuses the options.
    #[error("TLS cannot be set up with {source_name}: {reason}")]
    Setup {
        /// The files.
        source_name: String,
        /// The reason of rustls.
        reason: String,
    },
}

/// Returns what to do about a file that cannot be read.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            ": files are read by the user who starts ProxyMachine, and at a reload by that of --user"
        }
        io::ErrorKind::IsADirectory => ": name its files, such as DIRECTORY/*.pem",
        io::ErrorKind::NotFound => ": check the path, and that the file is there",
        _ => "",
    }
}

fn beside(tried: &Option<String>) -> String {
    tried.as_ref().map(|tried| format!(", or put it beside as {tried}")).unwrap_or_default()
}
