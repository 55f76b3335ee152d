//! The result of a run as one line of JSON.

use crate::probe::Usage;
use crate::samples::Samples;
use std::fmt::{Display, Write};
use std::time::Duration;

pub struct Report(String);

impl Report {
    pub fn new(mode: &str) -> Self {
        Self(format!("{{\"mode\":\"{mode}\""))
    }

    #[must_use]
    pub fn number(mut self, name: &str, value: impl Display) -> Self {
        write!(self.0, ",\"{name}\":{value}").expect("writing to a String");
        self
    }

    /// Adds the rate of `units` in `time`.
    #[must_use]
    pub fn rate(self, units: f64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        self.number("units", units)
            .number("seconds", format_args!("{seconds:.4}"))
            .number("rate", format_args!("{:.1}", units / seconds))
    }

    /// Adds the rate of `units` in `time`, and their cost for the proxy, which is null without any units.
    #[must_use]
    pub fn work(self, units: f64, time: Duration, usage: Usage) -> Self {
        let each = |cost: f64| match units {
            0.0 => "null".into(),
            _ => format!("{:.4}", cost / units),
        };
        let seconds = time.as_secs_f64();
        self.rate(units, time)
            .number("cpu_us", each(usage.cpu_nanos as f64 / 1000.0))
            .number("cpu_share", format_args!("{:.4}", usage.cpu_nanos as f64 / 1e9 / seconds))
            .number("switches", each(usage.switches as f64))
    }

    #[must_use]
    pub fn latency(self, samples: &mut Samples) -> Self {
        let (p50, p99, max) = (samples.quantile(0.5), samples.quantile(0.99), samples.quantile(1.0));
        self.number("samples", samples.len())
            .number("p50_us", format_args!("{p50:.1}"))
            .number("p99_us", format_args!("{p99:.1}"))
            .number("max_us", format_args!("{max:.1}"))
    }

    pub fn print(self) {
        println!("{}}}", self.0);
    }
}
