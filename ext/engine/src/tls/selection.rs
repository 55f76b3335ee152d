//! Which of several certificates a client gets.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, Error, SignatureAlgorithm, SignatureScheme};

use super::identity::Identity;

/// Selects a certificate by the name that a client asks for (SNI, RFC 6066, section 3), and by what the client can
/// verify.
#[derive(Debug)]
pub struct CertificateSelector {
    /// In the order of the configuration.
    keys: Vec<Arc<CertifiedKey>>,
    /// Positions of the certificates with a name, the preferred first.
    by_name: HashMap<Box<str>, Vec<u32>>,
    /// The same for the names `*.NAME`, by `NAME`.
    by_wildcard: HashMap<Box<str>, Vec<u32>>,
    is_strict: bool,
}

impl CertificateSelector {
    /// Creates a selector. If it is strict, a name that no certificate has is refused.
    pub fn new(identities: &[Identity], is_strict: bool) -> Self {
        let keys: Vec<_> = identities.iter().map(|identity| Arc::clone(&identity.certified_key)).collect();
        let (mut by_name, mut by_wildcard) = (HashMap::new(), HashMap::new());
        for (position, identity) in (0_u32..).zip(identities) {
            for name in &identity.info.dns_names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut by_wildcard, parent),
                    None => (&mut by_name, name.as_str()),
                };
                let positions: &mut Vec<u32> = names.entry(Box::from(name)).or_default();
                positions.push(position);
            }
        }
        for positions in by_name.values_mut().chain(by_wildcard.values_mut()) {
            // The sort is stable, so that the first of a kind stays the first.
            positions.sort_by_key(|position| preference(&keys[*position as usize]));
            positions.dedup();
        }
        Self { keys, by_name, by_wildcard, is_strict }
    }

    /// Returns the certificates with a name, the preferred first: those with the name itself, then those with a wildcard,
    /// which stands for one label (RFC 9525, section 6.3).
    fn named(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let exact = self.by_name.get(name).into_iter();
        let wildcard = parent.and_then(|parent| self.by_wildcard.get(parent)).into_iter();
        exact.chain(wildcard).flatten().map(|position| &self.keys[*position as usize])
    }

    /// Returns the certificate for a client. If none of those for the client's name, or none at all, has a key that the
    /// client can verify, the first of them is returned: rustls then refuses the client with `handshake_failure`.
    fn select(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let is_usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        if let Some(name) = name {
            let selected = self.named(name).find(is_usable).or_else(|| self.named(name).next());
            if selected.is_some() || self.is_strict {
                return selected;
            }
        }
        self.keys.iter().find(is_usable).or_else(|| self.keys.first())
    }
}

impl ResolvesServerCert for CertificateSelector {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.select(hello.server_name(), hello.signature_schemes()).cloned()
    }
}

/// Returns the rank of a key among those for the same name: ECDSA first, since its signatures are the cheapest and its
/// chains the shortest.
fn preference(key: &CertifiedKey) -> u8 {
    match key.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::RSA => 2,
        _ => 1,
    }
}

/// Returns the alert that a client should see instead of rustls's own.
///
/// A selector returns no certificate for a name that no certificate has. rustls says `access_denied` then, where RFC 6066,
/// section 3, has `unrecognized_name`.
///
/// ```
/// use proxymachine_engine::tls::alert_instead;
/// use proxymachine_engine::tls::rustls::{AlertDescription, Error};
///
/// let error = Error::General("no server certificate chain resolved".into());
/// assert_eq!(alert_instead(&error), Some(AlertDescription::UnrecognisedName));
/// assert_eq!(alert_instead(&Error::DecryptError), None);
/// ```
#[must_use]
pub fn alert_instead(error: &Error) -> Option<AlertDescription> {
    match error {
        Error::General(reason) if reason == "no server certificate chain resolved" => {
            Some(AlertDescription::UnrecognisedName)
        }
        _ => None,
    }
}
