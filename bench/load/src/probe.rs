//! The kernel's counters of the proxy process.

use std::fs;

/// Counters of a process, summed over its threads.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_nanos: u64,
    pub switches: u64,
}

impl Usage {
    pub fn since(self, before: Self) -> Self {
        Self {
            cpu_nanos: self.cpu_nanos.saturating_sub(before.cpu_nanos),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

/// Reads the counters of process `pid`. All counters of pid 0, which stands for no proxy, are zero.
#[derive(Clone, Copy)]
pub struct Probe {
    pid: u32,
}

impl Probe {
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    pub fn usage(self) -> Usage {
        if self.pid == 0 {
            return Usage::default();
        }
        Usage { cpu_nanos: self.cpu(), switches: self.switches() }
    }

    /// Returns user and system time of all threads, including ended ones: the value in /proc/PID/stat, in nanoseconds.
    fn cpu(self) -> u64 {
        // The kernel's CPUCLOCK_SCHED of a process: see clock_getcpuclockid(3).
        let clock = (!(self.pid as libc::clockid_t) << 3) | 2;
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one timespec to a live, exclusive location; an unknown clock is an error return.
        let ok = unsafe { libc::clock_gettime(clock, &raw mut time) } == 0;
        if ok { time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 } else { 0 }
    }

    /// Returns the voluntary context switches: each is a sleep that ends with a wake-up.
    fn switches(self) -> u64 {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return 0 };
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .map(|status| field(&status, "voluntary_ctxt_switches:"))
            .sum()
    }

    /// Returns resident memory in bytes: Rss, and Pss, which divides shared pages among their processes.
    pub fn memory(self) -> Memory {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid)).unwrap_or_default();
        Memory { rss: field(&rollup, "Rss:") * 1024, pss: field(&rollup, "Pss:") * 1024 }
    }
}

#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub rss: u64,
    pub pss: u64,
}

fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}
