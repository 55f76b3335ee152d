//! Counters of other processes, which come as JSON: their sum, and all that shows it. Input: one document per line.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use proxymachine_admin::{Snapshot, SnapshotSource, WorkerAggregate};
use proxymachine_admin_fuzz::Shown;

static SHOWN: LazyLock<Shown> = LazyLock::new(Shown::start);

/// Where workers leave their last counters.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("proxymachine-fuzz-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
});

fuzz_target!(|input: &[u8]| {
    let workers = WorkerAggregate::new(&DIRECTORY);
    for (index, json) in input.split(|byte| *byte == b'\n').take(4).enumerate() {
        // No process has such an id.
        fs::write(DIRECTORY.join(format!("{}.last", 4_194_305 + index)), json).unwrap();
    }
    let mut sum = workers.snapshot();
    if let Ok(earlier) = serde_json::from_slice::<Snapshot>(input) {
        sum.carry_over_with_connections(earlier);
    }
    SHOWN.show(sum);

    assert!(SHOWN.get("/").ends_with("</html>\n"));
    let status: Result<serde_json::Value, _> = serde_json::from_str(&SHOWN.get("/status.json"));
    assert!(status.is_ok(), "{status:?}");
    SHOWN.get("/metrics?remotes=1").lines().for_each(check_metric);
    for line in SHOWN.get("/status.txt?width=80").lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
});

/// Checks a line of Prometheus' text format.
fn check_metric(line: &str) {
    let sample = !line.starts_with('#');
    let value = line.rsplit_once(' ').map(|(_, value)| value.parse::<f64>());
    assert!(!sample || matches!(value, Some(Ok(_))), "{line:?}");
    let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
    if let Some((labels, _)) = labels.filter(|_| sample) {
        let quotes = labels.replace("\\\\", "").replace("\\\"", "").matches('"').count();
        assert!(quotes > 0 && quotes % 2 == 0, "{line:?}");
    }
}
