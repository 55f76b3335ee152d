//! Rendezvous hashing: each key ranks the servers by a hash of key and server, so that a server that leaves moves its own
//! keys only (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998).
//!
//! The hashes depend on nothing but the texts: neither on the process, nor on the order of the servers, nor on the version of
//! the standard library.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// The hash of an answer's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    /// Hashes a key's text.
    ///
    /// ```
    /// # use proxymachine_engine::upstream::Key;
    /// assert_eq!(Key::new(b"tenant-7"), Key::new(b"tenant-7"));
    /// ```
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        Self(hash(text))
    }

    /// Returns the rank of a server among those of equal weight. The highest rank wins.
    pub(crate) fn rank(self, server: u64) -> u64 {
        mix(self.0 ^ server)
    }

    /// Returns the rank of a server by its weight. The highest rank wins. With equal weights the order is that of
    /// [`Key::rank`].
    ///
    /// The rank is -w / ln(u) for a hash u between 0 and 1 (Schindelhauer and Schomaker, "Weighted distributed hash tables",
    /// 2005), which gives each server a share of the keys in proportion to its weight.
    pub(crate) fn weighted_rank(self, server: u64, weight: u32) -> f64 {
        // 53 bits are the mantissa of a double.
        let unit = ((self.rank(server) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(weight) / unit.ln()
    }
}

/// Hashes a text. A client may have chosen it, so the function is one whose collisions are hard to find by chance.
pub(crate) fn hash(text: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text);
    hasher.finish()
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), in which each
/// bit of the input changes half the bits of the output.
fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
