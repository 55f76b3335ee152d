//! The kernel's counters of this process: those that Prometheus client libraries export as `process_…`.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

#[derive(Debug, Clone, Default, Serialize)]
pub struct ProcessStats {
    /// CPU time in seconds, user and system.
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub threads: u64,
    pub open_fds: u64,
    /// None: no limit.
    pub max_fds: Option<u64>,
}

impl ProcessStats {
    /// Reads the counters of this process. Returns None on systems without `/proc`.
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let stats = Self::parse(&stat)?;
        Some(Self { open_fds: open_fds()?, max_fds: getrlimit(Resource::Nofile).current, ..stats })
    }

    /// Parses the fields of proc(5) after the program name, which may contain blanks and brackets.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<u64> = stat.rsplit_once(") ")?.1.split(' ').map(|f| f.parse().unwrap_or(0)).collect();
        let [user, system] = [fields.get(11)?, fields.get(12)?];
        Some(Self {
            cpu_seconds: (user + system) as f64 / clock_ticks_per_second() as f64,
            resident_bytes: fields.get(21)? * page_size() as u64,
            threads: *fields.get(17)?,
            ..Self::default()
        })
    }
}

/// Returns the number of open file descriptors. Since Linux 6.2 the number is the size of the directory;
/// older kernels report 0, and the entries have to be counted.
fn open_fds() -> Option<u64> {
    const DIRECTORY: &str = "/proc/self/fd";
    match fs::metadata(DIRECTORY).ok()?.len() {
        0 => Some(fs::read_dir(DIRECTORY).ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_name_may_contain_blanks_and_brackets() {
        let stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 7 0 1234 99 3 18446744073709551615";
        let stats = ProcessStats::parse(stat).unwrap();
        assert_eq!(stats.cpu_seconds, 200.0 / clock_ticks_per_second() as f64);
        assert_eq!((stats.threads, stats.resident_bytes), (7, 3 * page_size() as u64));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_threads_memory_and_descriptors() {
        let stats = ProcessStats::read().unwrap();
        assert!(stats.threads >= 1 && stats.resident_bytes > 100_000, "{stats:?}");
        assert!((3..100_000).contains(&stats.open_fds), "{stats:?}");
    }
}
