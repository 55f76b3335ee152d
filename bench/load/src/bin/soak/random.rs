//! Pseudo-random numbers by `SplitMix64`; a seed repeats them.

use std::ops::RangeInclusive;

pub struct Random(u64);

impl Random {
    /// Creates the sequence of connection `number` in the run with `seed`.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next() ^ number;
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.next() % (range.end() - range.start() + 1)
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.next() % count == 0
    }

    /// Returns a size whose logarithm is uniform, so that small sizes are as likely as large ones.
    pub fn size(&mut self, range: RangeInclusive<u64>) -> u64 {
        let bits = |number: u64| u64::from(number.max(1).ilog2());
        let top = 1_u64 << self.within(bits(*range.start())..=bits(*range.end()));
        self.within(top..=2 * top - 1).clamp(*range.start(), *range.end())
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.next() as usize % items.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_another_does_not() {
        let draw = |seed, number| {
            let mut random = Random::of(seed, number);
            [0; 8].map(|_| random.next())
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
        assert_ne!(draw(1, 2), draw(1, 3));
    }

    #[test]
    fn sizes_stay_within_their_range() {
        let mut random = Random::of(1, 1);
        let sizes: Vec<u64> = (0..1000).map(|_| random.size(1..=5000)).collect();
        assert!(sizes.iter().all(|size| (1..=5000).contains(size)));
        assert!(sizes.iter().any(|&size| size < 10) && sizes.iter().any(|&size| size > 1000));
    }
}
