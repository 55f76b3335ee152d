//! The names of /etc/hosts (hosts(5)). Only the lane of a lookup depends on them: getaddrinfo(3) finds their addresses.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// How often the file is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Names beyond these first bytes of the file are not known here.
const MAX_BYTES: u64 = 1 << 20;

pub(super) struct Hosts {
    path: PathBuf,
    checked: Option<Instant>,
    modified: Option<SystemTime>,
    names: HashSet<Box<str>>,
}

impl Default for Hosts {
    fn default() -> Self {
        Self { path: "/etc/hosts".into(), checked: None, modified: None, names: HashSet::new() }
    }
}

impl Hosts {
    /// Tells whether the file has the name. `localhost` needs no file.
    pub(super) fn contains(&mut self, name: &str) -> bool {
        if self.checked.is_none_or(|checked| checked.elapsed() >= CHECK_INTERVAL) {
            self.checked = Some(Instant::now());
            self.reload_if_changed();
        }
        let name = normalized(name);
        name == "localhost" || self.names.contains(name.as_str())
    }

    fn reload_if_changed(&mut self) {
        let modified = fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        if modified == self.modified {
            return;
        }
        self.modified = modified;
        let mut text = Vec::new();
        // A file that cannot be read has no names.
        if let Ok(file) = File::open(&self.path) {
            let _ = file.take(MAX_BYTES).read_to_end(&mut text);
        }
        self.names = names(&String::from_utf8_lossy(&text)).collect();
    }
}

/// Returns the names of the text: each line has an address, its names, and perhaps a comment.
fn names(text: &str) -> impl Iterator<Item = Box<str>> {
    let line_names = |line: &'_ str| {
        let entry = line.split('#').next().unwrap_or_default();
        entry.split_whitespace().skip(1).map(|name| normalized(name).into_boxed_str()).collect::<Vec<_>>()
    };
    text.lines().flat_map(line_names)
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_of_a_line_counts_and_comments_do_not() {
        let text = "127.0.0.1\tlocal Alias # no\n#10.0.0.1 off\n\n::1 six.\n10.0.0.2\n";
        assert_eq!(names(text).map(String::from).collect::<Vec<_>>(), ["local", "alias", "six"]);
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let path = std::env::temp_dir().join(format!("proxymachine-hosts-{}", std::process::id()));
        fs::write(&path, "10.0.0.1 one\n").unwrap();
        let mut hosts = Hosts { path: path.clone(), ..Hosts::default() };
        assert!(hosts.contains("ONE.") && !hosts.contains("two"));
        fs::write(&path, "10.0.0.1 two\n").unwrap();
        File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        hosts.checked = None;
        assert!(hosts.contains("two") && !hosts.contains("one"));
        fs::remove_file(&path).unwrap();
        hosts.checked = None;
        assert!(!hosts.contains("two") && hosts.contains("localhost"));
    }
}
