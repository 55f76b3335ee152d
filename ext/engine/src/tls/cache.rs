//! Certificates made of texts, which a block may name for each connection: each text is parsed once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::certificates::{CertificateOptions, Certificates};
use super::error::LoadError;
use super::tickets::Digester;

/// Texts whose certificates are kept. Of more, the least recently used are dropped.
pub const MAX_TEXTS: usize = 10_000;

/// Keeps the certificates of the last texts. The texts themselves, in which the keys are, are not kept: a digest stands
/// for each.
#[derive(Debug)]
pub struct CertificateCache {
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<[u8; 32], Entry>,
    /// The digests in the order of their last use.
    by_use: BTreeMap<u64, [u8; 32]>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    certificates: Certificates,
    last_use: u64,
}

impl CertificateCache {
    /// Creates a cache for so many texts.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, entries: Mutex::default() }
    }

    /// Returns the certificates of a text, and whether the text was parsed now.
    ///
    /// # Errors
    /// Returns an error if the text cannot be used. Such a text is parsed again each time.
    pub fn get(&self, text: &[u8], options: &CertificateOptions) -> Result<(Certificates, bool), LoadError> {
        let digest = digest(text, options);
        if let Some(certificates) = self.lock().get(&digest) {
            return Ok((certificates, false));
        }
        // No thread waits meanwhile. Two threads may parse the same text; one result is kept.
        let certificates = Certificates::parse(text, options)?;
        self.lock().insert(digest, certificates.clone(), self.limit);
        Ok((certificates, true))
    }

    /// Calls `inspect` with all certificates that are kept.
    pub fn each(&self, inspect: impl FnMut(&Certificates)) {
        self.lock().by_digest.values().map(|entry| &entry.certificates).for_each(inspect);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn get(&mut self, digest: &[u8; 32]) -> Option<Certificates> {
        self.uses += 1;
        let entry = self.by_digest.get_mut(digest)?;
        self.by_use.remove(&std::mem::replace(&mut entry.last_use, self.uses));
        self.by_use.insert(self.uses, *digest);
        Some(entry.certificates.clone())
    }

    fn insert(&mut self, digest: [u8; 32], certificates: Certificates, limit: usize) {
        self.uses += 1;
        let entry = Entry { certificates, last_use: self.uses };
        if let Some(replaced) = self.by_digest.insert(digest, entry) {
            self.by_use.remove(&replaced.last_use);
        }
        self.by_use.insert(self.uses, digest);
        while self.by_digest.len() > limit {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.by_digest.remove(&oldest);
        }
    }
}

fn digest(text: &[u8], options: &CertificateOptions) -> [u8; 32] {
    let CertificateOptions { alpn, min_version, client, is_client_optional, is_strict } = options;
    let mut digester = Digester::new("text");
    digester.add(text);
    digester.add(&[*min_version as u8, u8::from(*is_client_optional), u8::from(*is_strict)]);
    if let Some(client) = client {
        digester.add(client.digest());
    }
    alpn.iter().for_each(|protocol| digester.add(protocol));
    digester.finish()
}
