//! Latency samples, stored individually for exact quantiles.

use std::time::Duration;

#[derive(Default)]
pub struct Samples {
    nanos: Vec<u32>,
    sorted: bool,
}

impl Samples {
    pub fn add(&mut self, time: Duration) {
        self.nanos.push(u32::try_from(time.as_nanos()).unwrap_or(u32::MAX));
        self.sorted = false;
    }

    pub fn clear(&mut self) {
        self.nanos.clear();
    }

    pub fn len(&self) -> usize {
        self.nanos.len()
    }

    /// Returns a quantile in microseconds, or 0 without samples.
    pub fn quantile(&mut self, q: f64) -> f64 {
        if self.nanos.is_empty() {
            return 0.0;
        }
        if !self.sorted {
            self.nanos.sort_unstable();
            self.sorted = true;
        }
        let last = self.nanos.len() - 1;
        f64::from(self.nanos[(last as f64 * q).round() as usize]) / 1000.0
    }
}
