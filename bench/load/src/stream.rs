//! A stream in which every piece is determined by its offset.

/// The largest write of the bulk stream.
const CHUNK: usize = 128 * 1024;

/// A prime, so that a lost or repeated piece is detected.
const PERIOD: usize = 65_521;

/// The bulk stream: pseudo-random bytes with a prime period.
pub struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    pub fn new() -> Self {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut bytes: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        bytes.extend_from_within(..);
        bytes.extend_from_within(..CHUNK.next_multiple_of(PERIOD) - PERIOD);
        Self { bytes }
    }

    /// Returns up to `CHUNK` bytes of the stream, from `offset`.
    pub fn at(&self, offset: u64, left: u64) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        let size = left.min((self.bytes.len() - start).min(CHUNK) as u64) as usize;
        &self.bytes[start..start + size]
    }

    pub fn matches(&self, offset: u64, mut got: &[u8]) -> bool {
        let mut offset = offset;
        while !got.is_empty() {
            let want = self.at(offset, got.len() as u64);
            if want != &got[..want.len()] {
                return false;
            }
            offset += want.len() as u64;
            got = &got[want.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_stream_does_not_match() {
        let stream = Stream::new();
        let piece = stream.at(1_000_000, u64::MAX).to_vec();
        assert!(stream.matches(1_000_000, &piece));
        assert!(!stream.matches(1_000_001, &piece));
        assert!(!stream.matches(1_000_000 + 65_536, &piece));
    }
}
